"""Servers that are slow, broken, or something else; and the rules of comparison."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xnat_config import definitions
from xnat_config.admin.errors import LoginRefusedError, RefusedError, ServerFaultError
from xnat_config.admin.model import Key, State, covers, decide, difference
from xnat_config.admin.server import Server
from xnat_config.admin.wish import wish_from
from xnat_config.admin.work import Installation
from xnat_config.connection import Connection

KEY = Key("variable", "P1", "x")


@pytest.fixture
def other():
    """Serve fixed answers on this machine; remember what was asked and with what login."""
    servers = []

    def make(status, body=b"", **headers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("Authorization")))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_DELETE = do_GET

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", asked

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def _open(address):
    return Server(Connection(address), "me", "my-secret", sleep=lambda _s: None)


def test_a_page_is_no_xnat(other):
    address, _ = other(200, b"<!DOCTYPE html><html>Welcome</html>")
    with pytest.raises(ServerFaultError, match="does not answer like an XNAT"), _open(address):
        pass


def test_a_login_is_not_carried_to_another_address(other):
    elsewhere, asked = other(200, b"x")
    address, _ = other(301, Location=elsewhere + "/data/JSESSION")
    with pytest.raises(ServerFaultError, match="on to another address"), _open(address):
        pass
    assert asked == []


def test_the_password_is_sent_once(other):
    address, asked = other(200, b"0123456789ABCDEF")
    with _open(address) as server:
        server.send("GET", "/data/projects")
    assert [login is not None for _, login in asked] == [True, False, False]
    assert "my-secret" not in repr(server.__dict__)


def test_a_redirect_to_the_login_page_is_a_refused_login(other):
    address, _ = other(302, Location="/app/template/Login.vm")
    with pytest.raises(LoginRefusedError), _open(address):
        pass


def test_a_fault_that_passes_is_waited_for(start, login):
    served = start()
    server = login(served)
    rule = {"path": "/data/projects/P1", "status": 503, "count": 2}
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    assert server.ask("/data/projects/P1") is not None


def test_a_refusal_says_the_servers_reason(start, login):
    with pytest.raises(RefusedError) as refused:
        login(start()).send("PUT", "/data/projects/a%20b")
    assert refused.value.status == 417
    assert "Invalid character in project ID" in str(refused.value)


OTHERS = {"kind": "variable", "project": "P2", "name": "xnat:subjectData/group", "document": {}}


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[1]", b'{"things": [{"kind": "form"}]}', b"null "),
        json.dumps({"things": [OTHERS]}).encode(),  # of a project that is not its own
    ],
)
def test_a_damaged_record_is_told(start, login, tmp_path, body):
    served = start()
    file = "/data/projects/P1/resources/XNAT_PIC_ADMIN/files/applied.json?inbody=true"
    assert served.put(file, data=body).status_code == 200
    wish = wish_from({"projects": ["P1"]}, tmp_path)
    if body == b"null ":
        assert Installation(login(served), wish).removal() == []
        return
    with pytest.raises(ServerFaultError, match="is damaged"):
        Installation(login(served), wish)


def test_a_document_type_is_not_read():
    with pytest.raises(ValueError, match="document type"):
        definitions.parse_project(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    with pytest.raises(ValueError, match="no XML"):
        definitions.parse_project(b"<a>")


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ({"a": 1, "id": 7}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": False}, True),
        ({"a": 1}, {"a": 1, "b": {}}, True),
        ({"a": 1}, {"a": 1, "b": 0.5}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [{"x": 1, "id": 3}]}, {"a": [{"x": 1}]}, True),
        ({"a": "1"}, {"a": 1}, False),
        ([], {"a": ""}, False),
    ],
)
def test_a_server_may_say_more_but_nothing_else(found, wanted, same):
    assert covers(found, wanted) is same


@pytest.mark.parametrize(
    ("found", "recorded", "state"),
    [
        (None, None, State.ADD),
        (None, {"v": 1}, State.ADD),
        ({"v": 2}, None, State.SAME),
        ({"v": 2}, {"v": 1}, State.SAME),
        ({"v": 1}, {"v": 1}, State.UPDATE),
        ({"v": 1}, None, State.OTHER),
        ({"v": 3}, {"v": 1}, State.EDITED),
    ],
)
def test_what_follows_from_three_documents(found, recorded, state):
    assert decide(KEY, {"v": 2}, found, recorded).state is state


def test_a_difference_in_words():
    assert difference({"v": ["b", "a"]}, {"v": ["a", "b"]}) == "v: the order is another"
    assert difference({"v": ["a"]}, {"v": ["a", "b"]}) == "v: b is missing"
    assert "\x1b" not in difference({"v": "\x1b[2J"}, {"v": "a"})
    assert difference({}, {"v": "a"}) == "v: nothing instead of a"
