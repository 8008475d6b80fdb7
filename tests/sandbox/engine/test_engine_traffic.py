"""What the runner asks of a server: recorded by one that answers and knows nothing."""

import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import pytest
from engine_bench import argument, call, pipeline, resource, step

from sandbox.archive.launching import ENGINE, Run
from sandbox.engine import run
from sandbox.engine.errors import RunError

LOGIN = "Basic YWxpYXM6c2VjcmV0"  # alias:secret


class Recorder(ThreadingHTTPServer):
    """Answers everything with 200 and a session; keeps what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.expire = set()  # numbers of requests that find the session over

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.command, self.path, self.headers, body))
        over = len(self.server.calls) in self.server.expire
        self.send_response(401 if over else 200)
        session = b""
        if self.command == "POST" and self.path == "/data/JSESSION":
            session = f"SESSION{len(self.server.calls)}".encode()
            self.send_header("Set-Cookie", f"JSESSIONID={session.decode()}; Path=/")
        self.send_header("Content-Length", str(len(session)))
        self.end_headers()
        self.wfile.write(session)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def launched(recorder, tmp_path):
    """What a launch hands to the runner: two steps, the second as wanted."""

    def make(second):
        folder = tmp_path / "catalog" / "demo" / "resources"
        folder.mkdir(parents=True)
        (folder / "sh.xml").write_text(resource("sh", argument("c", "c")), "utf-8")
        text = pipeline(step("1", call("sh", c="'exit 0'")), step("2", call("sh", c=second)))
        (folder.parent / "Demo.xml").write_text(text, "utf-8")
        return Run(
            kind=ENGINE, workflow=7, name="demo/Demo.xml", item="E1", label="l é", project="P",
            xsi_type="xnat:mrSessionData", launch_time="2026-01-02 03:04:05.678", parameters={},
            host=recorder.url, alias="alias", secret="secret", login="mé",
            email="me@example.org",
            folder=tmp_path / "run", catalog=tmp_path / "catalog",
        )  # fmt: skip

    return make


def reports(recorder):
    wanted = ("PUT", "/data/workflows?req_format=xml")
    return [call for call in recorder.calls if call[:2] == wanted]


def states(recorder):
    return [
        ElementTree.fromstring(body.decode("iso-8859-1")).attrib
        for _, _, _, body in reports(recorder)
    ]


def parts(call):
    """Return the parts of a form that was sent."""
    _, _, headers, body = call
    kind = headers["Content-Type"].encode()
    found = BytesParser().parsebytes(b"Content-Type: " + kind + b"\r\n\r\n" + body)
    return {
        one.get_param("name", header="Content-Disposition"): one.get_payload(decode=True).decode()
        for one in found.get_payload()
    }


def test_the_requests_of_a_run(recorder, launched):
    run(launched("'exit 0'"))
    assert [(method, path) for method, path, _, _ in recorder.calls] == [
        ("POST", "/data/JSESSION"),
        ("GET", "/data/services/workflows/workflowid/7"),
        *[("PUT", "/data/workflows?req_format=xml")] * 5,  # twice per instance, once at the end
        ("DELETE", "/data/JSESSION"),
    ]
    first, *rest = [headers for _, _, headers, _ in recorder.calls]
    assert first["Authorization"] == LOGIN
    for headers in rest:
        assert headers["Authorization"] is None
        assert headers["Cookie"] == "JSESSIONID=SESSION1"
    assert recorder.calls[2][2]["Content-Type"] == "application/xml; charset=ISO-8859-1"
    found = states(recorder)
    for one in found:
        assert (one["ID"], one["data_type"], one["ExternalID"]) == ("E1", "xnat:mrSessionData", "P")
        assert one["pipeline_name"] == "demo/Demo.xml"
        assert one["launch_time"] == "2026-01-02T03:04:05.678"
    told = [
        (
            one["status"],
            one.get("current_step_id"),
            one.get("next_step_id"),
            one["percentageComplete"],
        )
        for one in found
    ]
    assert told == [
        ("Running", "1", "2", "50.0"),
        ("Running", "1", "2", "50.0"),
        ("Running", "2", None, "100.0"),
        ("Running", "2", None, "100.0"),
        ("Complete", None, None, "100.0"),
    ]
    assert found[0]["step_description"] == "step 1"
    documents = [ElementTree.fromstring(call[3].decode("iso-8859-1")) for call in reports(recorder)]
    assert [one.find("{*}details") for one in documents] == [None] * 5


def test_reports_tell_their_letters_by_the_header_alone(recorder, launched):
    run(launched("'exit 0'"))
    for _, _, headers, body in reports(recorder):
        assert headers["Content-Type"] == "application/xml; charset=ISO-8859-1"
        assert not body.startswith(b"<?xml")
        assert ">mé<".encode("iso-8859-1") in body


def test_the_requests_of_a_run_that_fails(recorder, launched):
    wanted = launched("'echo first >&2; echo é no >&2; exit 1'")
    run(wanted)
    assert [path for _, path, _, _ in recorder.calls[-3:]] == [
        "/data/workflows?req_format=xml",
        "/data/services/mail/send",
        "/data/JSESSION",
    ]
    last = states(recorder)[-1]
    file = wanted.folder / "build" / "LOGS" / "Demo.err"
    assert (last["status"], last["step_description"]) == ("Failed", f"See {file} for errors")
    assert b"details" not in recorder.calls[-3][3]
    mail = parts(recorder.calls[-2])
    assert (mail["to"], mail["subject"]) == ("me@example.org", "Demo failed on l é")
    assert str(file) in mail["text"]
    assert mail["text"].splitlines()[-2:] == ["first", "é no"]


def test_a_session_that_ends_in_a_long_step_is_opened_again(recorder, launched):
    recorder.expire = {5}
    run(launched("'exit 0'"))
    assert [one["status"] for one in states(recorder)][-1] == "Complete"
    assert [path for _, path, _, _ in recorder.calls].count("/data/JSESSION") == 3
    assert recorder.calls[-1][2]["Cookie"] == "JSESSIONID=SESSION6"


def test_a_login_that_is_refused_is_told(recorder, launched):
    recorder.expire = {1}
    with pytest.raises(RunError, match="no longer valid"):
        run(launched("'exit 0'"))
    assert len(recorder.calls) == 1


def test_a_server_that_is_gone_is_told_in_bounded_time(recorder, launched):
    wanted = launched("'exit 0'")
    recorder.shutdown()
    recorder.server_close()
    with pytest.raises(RunError, match="failed or was cut"):
        run(wanted)
