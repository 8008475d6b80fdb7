"""The contract of the one client of XNAT, which every caller stands on."""

import datetime
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar

import pytest
import requests
from archive_https import make_certificate, serving_https
from archive_server import serving

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from xnat_config.server.catalogs import refresh_catalogs
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import (
    BrokenAnswerError,
    LoginError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ServerError,
    UnreachableError,
)
from xnat_config.server.files import fetch_file, list_files
from xnat_config.server.login import connection_login, password_login, token_login
from xnat_config.server.paths import files_path
from xnat_config.server.reasons import reason_in
from xnat_config.server.retry import RetryPolicy
from xnat_config.server.tokens import issue_token, withdraw_token

QUICK = RetryPolicy(attempts=3, first_wait_s=0.01, longest_wait_s=0.02)
SESSION = b"0123456789ABCDEF"


def open_client(address, **options):
    options.setdefault("retry", QUICK)
    return XnatClient(Connection(address, "me"), password_login("me", "my-secret"), **options)


# --- when a request is repeated ----------------------------------------------------------------


def test_every_request_is_repeated_the_last_one_too(xnat):
    with xnat.client() as client:
        for path in ("/data/projects", "/data/JSESSION"):
            xnat.fault({"path": path, "status": 503, "count": 3})
            assert client.send("GET", path).status_code == 200
        assert [rule["hits"] for rule in xnat.faults()] == [3, 3]


def test_waits_grow_and_end(xnat):
    waits = []
    client = xnat.client(retry=RetryPolicy(5, 1.0, 3.0), sleep=waits.append)
    xnat.fault({"path": "/data/projects", "status": 500, "count": 0})
    with client, pytest.raises(UnreachableError) as caught:
        client.send("GET", "/data/projects")
    assert caught.value.status == 500
    assert xnat.faults()[0]["hits"] == 5
    for wait, wanted in zip(waits, [1, 2, 3, 3], strict=True):
        assert 0.9 * wanted <= wait <= 1.1 * wanted


def test_a_request_is_tried_six_times_and_the_first_login_four(xnat):
    waits = []
    client = xnat.client(retry=RetryPolicy(), sleep=waits.append)
    with client:
        client.send("GET", "/data/JSESSION")
        xnat.fault({"path": "/data/projects", "status": 503, "count": 0})
        with pytest.raises(UnreachableError):
            client.send("GET", "/data/projects")
    assert [round(wait / 2**k) for k, wait in enumerate(waits)] == [1] * 5
    waits.clear()
    xnat.fault({"path": "/data/services/auth", "status": 503, "count": 0, "method": "PUT"})
    with pytest.raises(UnreachableError), xnat.client(retry=RetryPolicy(), sleep=waits.append):
        pass
    assert len(waits) == 3


def _retry_after(kind):
    if kind == "date":
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
        return format_datetime(later, usegmt=True)
    return kind


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("4", 4.0, 4.0), ("date", 17.0, 20.0), ("3600", 30.0, 30.0), ("0", 0.9, 1.1), ("x", 0.9, 1.1)],
)
def test_retry_after_is_heard(other, status, asked, least, most):
    """A longer wait that the server asks for is kept, up to the longest; another one is not."""

    def answer(_method, path):
        if path == "/data/projects" and len(waits) == 0:
            return status, b"busy", {"Retry_After": _retry_after(asked)}
        return 200, SESSION, {}

    waits = []
    address, _ = other(answer)
    with open_client(address, retry=RetryPolicy(), sleep=waits.append) as client:
        client.send("GET", "/data/projects")
    assert len(waits) == 1
    assert least <= waits[0] <= most


@pytest.mark.parametrize("status", [400, 403, 404, 409, 417, 422, 507])
def test_what_cannot_succeed_is_asked_once(xnat, status):
    with xnat.client() as client:
        xnat.fault({"path": "/data/projects", "status": status, "count": 0})
        with pytest.raises(ServerError) as caught:
            client.send("GET", "/data/projects")
        assert caught.value.status == status
        assert isinstance(caught.value, RefusedError) == (status < 500)
        assert isinstance(caught.value, MissingError) == (status == 404)
        assert xnat.faults()[0]["hits"] == 1


@pytest.mark.parametrize(("files", "refused"), [(200_000, False), (200_001, True)])
def test_an_item_has_at_most_200000_files(files, refused):
    row = {"URI": "/data/experiments/E1/files/a", "Name": "a", "Size": "1"}
    answering = SimpleNamespace(rows=lambda _: [row] * files)
    if refused:
        with pytest.raises(ServerError, match="has 200001 files; at most 200000 are read"):
            list_files(answering, "/data/experiments/E1")
    else:
        assert len(list_files(answering, "/data/experiments/E1")) == files


@pytest.mark.parametrize(
    ("version", "computed"), [("1.7.6", False), ("1.8", True), ("1.8.0", True), ("", True)]
)
def test_checksums_are_computed_anew_from_xnat_1_8_on(xnat, monkeypatch, version, computed):
    monkeypatch.setattr(XnatClient, "version_text", version)
    with xnat.client() as client:
        said = refresh_catalogs(client, "/data/projects/P1")
    assert ("does not compute checksums anew" in said) != computed


@pytest.mark.parametrize(("left_s", "expired"), [(70, False), (50, True), (-1, True)])
def test_a_token_is_over_a_minute_before_its_time(left_s, expired):
    assert token_login("admin", "alias", "secret", time.time() + left_s).is_expired() == expired
    assert not token_login("admin", "alias", "secret").is_expired()


def test_a_status_that_is_accepted_is_an_answer(xnat):
    with xnat.client() as client:
        for status in (409, 503):
            xnat.fault({"path": "/data/projects", "status": status})
            assert client.send("GET", "/data/projects", accept=(status,)).status_code == status


@pytest.mark.parametrize("options", [{"repeat": False}, {"method": "POST"}])
@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"status": 502}])
def test_work_that_must_not_be_done_twice_is_not_repeated(xnat, options, fault):
    method = options.get("method", "PUT")
    options = {name: value for name, value in options.items() if name != "method"}
    with xnat.client() as client:
        xnat.fault({"method": method, "path": "/data/projects/P2", "count": 0, **fault})
        with pytest.raises(LostAnswerError):
            client.send(method, "/data/projects/P2", **options)
        assert xnat.faults()[0]["hits"] == 1
        if method == "PUT" and "lose_answer" in fault:
            assert client.exists("/data/projects/P2")


def test_a_body_is_made_anew_for_each_attempt_and_a_file_is_closed(xnat, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    opened = []

    def body():
        opened.append((tmp_path / "a").open("rb"))
        return opened[-1]

    with xnat.client() as client:
        client.send("PUT", "/data/projects/P1/resources/R", accept=(409,))
        path = "/data/projects/P1/resources/R/files/a"
        xnat.fault({"method": "PUT", "path": path, "status": 500, "count": 2})
        client.send("PUT", path, params={"inbody": "true", "overwrite": "true"}, body=body)
        assert client.read(path) == b"content"
    assert [one.closed for one in opened] == [True] * 3


def test_an_answer_that_breaks_off_is_read_again(xnat):
    body = b"x" * 3_000_000
    with xnat.client() as client:
        client.send("PUT", "/data/projects/P1/resources/R", accept=(409,))
        path = "/data/projects/P1/resources/R/files/a"
        client.send("PUT", path, params={"inbody": "true"}, body=lambda: body)
        xnat.fault({"method": "GET", "path": path, "cut_answer_after": 100_000, "count": 2})
        assert client.read(path) == body
        begun = client.read(path, enough=lambda so_far: len(so_far) >= 10)
        assert body.startswith(begun)
        assert 10 <= len(begun) < len(body)
        xnat.fault({"method": "GET", "path": path, "cut_answer_after": 100_000, "count": 0})
        with pytest.raises(BrokenAnswerError, match="failed or was cut"):
            client.read(path)


# --- words ---------------------------------------------------------------------------------------


def test_reason_is_the_servers_own(xnat):
    with xnat.client() as client, pytest.raises(RefusedError) as caught:
        client.send("PUT", "/data/projects/P1/subjects/s/experiments/E", params={"a": "b"})
    assert caught.value.status == 417
    assert caught.value.message == "Need PUT Contents."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html><h3>Label &lt;b&gt; is\n taken.</h3><br></html>", "Label <b> is taken."),
        ('{"message": "No disk left"}', "No disk left"),
        ("plain words", "plain words"),
        ("\x1b[31mred", "[31mred"),
        ("<!DOCTYPE html><title>x</title>", "otherwise"),
        ("", "otherwise"),
    ],
)
def test_reason_of_an_answer(body, said):
    assert reason_in(body.encode(), "otherwise") == said


def test_answer_of_a_proxy_is_no_answer_of_xnat(xnat):
    with xnat.client() as client:
        with pytest.raises(ServerError, match="not what XNAT sends"):
            client.json("/data/auth")
        with pytest.raises(ServerError, match="listing is not what XNAT sends"):
            client.rows("/data/projects/P1")


def test_listings_and_items_are_text_and_may_be_missing(xnat):
    with xnat.client() as client:
        (row,) = client.rows("/data/projects")
        assert row["ID"] == "P1"
        assert all(isinstance(value, str) for value in row.values())
        assert client.item("/data/projects/P1")["data_fields"]["ID"] == "P1"
        assert client.find_json("/data/projects/P9") is None
        assert client.find_rows("/data/projects/P9/subjects") == []
        assert not client.exists("/data/projects/P9")
        with pytest.raises(MissingError):
            client.item("/data/projects/P9")


def test_version_is_known(xnat):
    with xnat.client() as client:
        assert client.version[:2] == (1, 8)


def test_nothing_that_is_shown_holds_a_secret(xnat):
    client = xnat.client(password="my-secret")
    assert "my-secret" not in f"{client!r} {vars(client)!r}"


# --- login ---------------------------------------------------------------------------------------


def test_expired_session_is_renewed_once_for_all_threads(xnat):
    with xnat.client() as client:
        xnat.fault({"path": "/data/projects", "drop_login": True})
        errors = []

        def ask():
            try:
                client.json("/data/projects")
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        before = client._logins
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert client._logins - before in (1, 2)


def test_renewal_that_does_not_help_is_said_after_three(xnat):
    with xnat.client() as client:
        xnat.fault({"path": "/data/projects", "drop_login": True, "count": 0})
        with pytest.raises(LoginError, match="no longer accepts") as caught:
            client.send("GET", "/data/projects")
        assert "Check user and password" in caught.value.hint
        assert xnat.faults()[0]["hits"] == 1 + 3


def test_wrong_password_is_a_login_error_and_a_fault_is_not(xnat):
    with pytest.raises(LoginError, match="refuses the login of admin"):
        xnat.client(password="wrong").open()
    xnat.fault({"path": "/data/services/auth", "status": 500, "count": 0})
    with pytest.raises(UnreachableError) as caught:
        xnat.client(retry=QUICK).open()
    assert not isinstance(caught.value, LoginError)


def test_a_fault_that_passes_is_waited_for_at_login_too(xnat):
    xnat.fault({"path": "/data/services/auth", "status": 503, "count": 2})
    with xnat.client() as client:
        assert client.exists("/data/projects/P1")


def test_nobody_there(unused_port):
    connection = Connection(f"http://127.0.0.1:{unused_port}", "ann")
    with pytest.raises(UnreachableError, match="failed or was cut"):
        XnatClient(connection, password_login("ann", "x"), retry=QUICK).open()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_token_logs_in_and_is_withdrawn(xnat):
    with xnat.client() as client:
        token = issue_token(client)
    assert token.user == "admin"
    assert token.expires_s > time.time() + 3600
    connection = Connection(xnat.url, "admin")
    with XnatClient(connection, token, retry=QUICK) as client:
        assert client.exists("/data/projects/P1")
        assert withdraw_token(client, token)
        assert not withdraw_token(client, token)
    with pytest.raises(LoginError, match="no longer valid"):
        XnatClient(connection, token, retry=QUICK).open()


def test_a_token_whose_end_a_server_does_not_say_is_over_after_two_days(other):
    token = b'{"alias": "a", "secret": "b"}'
    address, _ = other(lambda _, path: (200, token if "tokens" in path else SESSION, {}))
    before = time.time()
    with XnatClient(Connection(address, "me"), password_login("me", "x"), retry=QUICK) as client:
        ends = issue_token(client).expires_s
    assert before + 2 * 86400 <= ends <= time.time() + 2 * 86400


def test_token_past_its_time_is_not_even_tried(xnat):
    token = token_login("admin", "alias", "secret", time.time() - 1)
    with pytest.raises(LoginError, match="expired"):
        XnatClient(Connection(xnat.url, "admin"), token, retry=QUICK).open()


def test_method_and_provider_are_sent_with_the_login(other):
    address, asked = other(200, SESSION)
    login = password_login("me", "päss", method="ldap", provider="ldap2")
    with XnatClient(Connection(address, "me"), login):
        pass
    method, path, headers, body = asked[0]
    assert (method, path) == ("PUT", "/data/services/auth")
    assert body == b"username=me&password=p%C3%A4ss&provider=ldap&authenticatorId=ldap2"
    assert "Authorization" not in headers


def test_session_ends_on_the_server(xnat):
    client = xnat.client()
    client.open()
    cookies = client._session.cookies.copy()
    ask = {"cookies": cookies, "timeout": 10}
    assert requests.get(f"{xnat.url}/data/projects", **ask).status_code == 200
    client.close()
    assert requests.get(f"{xnat.url}/data/projects", **ask).status_code == 401


def test_login_of_a_netrc_file_is_not_taken(xnat, tmp_path, monkeypatch):
    """requests would send it in place of ours, to the server we named."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password m\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    with xnat.client() as client:
        assert client.send("GET", "/data/auth").text == "User 'admin' is logged in"


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_is_no_xnat(other, status):
    address, _ = other(status, b"<!DOCTYPE html><html>Welcome</html>")
    with pytest.raises(ServerError, match="does not answer like an XNAT"):
        open_client(address).open()


def test_the_password_is_sent_once(other):
    address, asked = other(200, SESSION)
    with open_client(address) as client:
        client.send("GET", "/data/projects")
    assert [b"my-secret" in body for *_, body in asked] == [True, False, False]
    assert not [headers for _, _, headers, _ in asked if "Authorization" in headers]
    assert all(SESSION.decode() in headers["Cookie"] for _, _, headers, _ in asked[1:])


def test_a_redirect_to_the_login_page_is_a_refused_login(other):
    address, _ = other(302, Location="/app/template/Login.vm")
    with pytest.raises(LoginError):
        open_client(address).open()


# --- a secret never follows a redirect ----------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("secret", ["password", "token"])
def test_a_login_is_not_carried_to_another_address(other, status, secret):
    elsewhere, asked = other(200, SESSION)
    address, _ = other(status, Location=elsewhere + "/data/JSESSION")
    login = password_login("me", "x") if secret == "password" else token_login("me", "a", "x")
    with pytest.raises(ServerError, match="on to another address") as caught:
        XnatClient(Connection(address, "me"), login, retry=QUICK).open()
    assert elsewhere in caught.value.message
    assert asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_request_is_carried_to_another_address(other, status, method):
    elsewhere, asked = other(200, SESSION)

    def answer(_method, path):
        if path.startswith("/data/projects"):
            return status, b"", {"Location": elsewhere + path}
        return 200, SESSION, {}

    address, _ = other(answer)
    with open_client(address) as client, pytest.raises(ServerError, match="another address"):
        client.send(method, "/data/projects/P1", body=lambda: b"secret")
    assert asked == []


@pytest.mark.parametrize(
    "target", ["https://{host}/data/services/auth", "//evil.invalid/data/services/auth", "/x", ""]
)
def test_another_scheme_or_place_of_the_same_host_is_refused_too(other, target):
    def answer(_method, _path):
        return 302, b"", {"Location": target.format(host=address.removeprefix("http://"))}

    address, asked = other(answer)
    with pytest.raises(ServerError, match="another address"):
        open_client(address).open()
    assert len(asked) == 1


def test_the_servers_own_root_may_stand_on_another_path(other):
    def answer(_method, path):
        if path.startswith("/xnat/"):
            return 200, SESSION, {}
        return 301, b"", {"Location": f"{address}/xnat{path}"}

    address, asked = other(answer)
    with open_client(address) as client:
        client.send("GET", "/data/projects")
    assert [path for _, path, _, _ in asked] == [
        "/data/services/auth",
        "/xnat/data/services/auth",
        "/xnat/data/projects",
        "/xnat/data/JSESSION",
    ]


# --- certificates and proxies --------------------------------------------------------------------


def test_certificates_are_verified_always_and_a_bundle_helps(tmp_path, monkeypatch):
    bundle = make_certificate(tmp_path / "server.pem")
    with serving_https(Archive(tmp_path / "archive", Settings()), tmp_path / "server.pem") as url:
        login = password_login("admin", "admin")
        with pytest.raises(UnreachableError, match="not trusted") as caught:
            XnatClient(Connection(url, "admin"), login, retry=RetryPolicy(attempts=1)).open()
        assert "--ca-bundle" in caught.value.hint
        trusting = Connection(url, "admin", bundle)
        with XnatClient(trusting, login, retry=QUICK) as client:
            assert client.send("GET", "/data/auth").status_code == 200
        # The environment of other programs must not undo what was asked for here.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem.missing"))
        with XnatClient(trusting, login, retry=QUICK) as client:
            assert client.send("GET", "/data/auth").status_code == 200


class _Proxy(BaseHTTPRequestHandler):
    """Passes requests on to `target`, whatever server they name."""

    target = ""
    asked: ClassVar[list[str]] = []

    def _pass_on(self):
        length = int(self.headers.get("Content-Length", 0))
        path = "/" + self.path.split("/", 3)[3]
        self.asked.append(self.path)
        headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Proxy-Connection")}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                self.command, self.target + path, headers=headers, data=self.rfile.read(length),
                allow_redirects=False, timeout=20,
            )  # fmt: skip
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "content-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def proxy(xnat):
    handler = type("Proxy", (_Proxy,), {"target": xnat.url, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_proxies_of_the_environment_are_used(xnat, proxy, monkeypatch):
    address, asked = proxy
    for name in ("HTTP_PROXY", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", address)
    login = password_login("admin", "admin")
    with XnatClient(Connection("http://xnat.invalid", "admin"), login, retry=QUICK) as client:
        assert client.exists("/data/projects/P1")
    assert any(one.startswith("http://xnat.invalid/data/projects/P1") for one in asked)
    count = len(asked)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with xnat.client() as client:
        assert client.exists("/data/projects/P1")
    assert len(asked) == count


def test_proxy_that_is_not_there_is_named(xnat, unused_port, monkeypatch):
    for name in ("HTTP_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(UnreachableError, match="proxy"):
        XnatClient(
            Connection("http://xnat.invalid", "admin"),
            password_login("admin", "admin"),
            retry=RetryPolicy(attempts=1),
        ).open()


# --- how a person logs in, and a site that is not set up ----------------------------------------


@pytest.fixture
def serve(tmp_path, monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            serving(Archive(tmp_path / "other", Settings(**settings)))
        )


def test_the_method_is_sent_with_the_login(serve):
    served = serve(directory=(("mouse", "cheese"),))
    here = Connection(served.url, "mouse")
    with pytest.raises(LoginError, match="refuses the login") as refused:
        XnatClient(here, connection_login(here, "cheese")).open()
    assert "--auth-method" in refused.value.hint
    by_method = replace(here, method="ldap")
    with XnatClient(by_method, connection_login(by_method, "cheese")) as client:
        assert client.send("GET", "/data/auth").text == "User 'mouse' is logged in"
    by_id = replace(here, provider="ldap1")
    with XnatClient(by_id, connection_login(by_id, "cheese")) as client:
        assert client.send("GET", "/data/auth").text == "User 'mouse' is logged in"


def test_a_site_that_is_not_set_up_is_told_so(serve):
    served = serve(unconfigured=True)
    client = XnatClient(Connection(served.url, "admin"), password_login("admin", "admin"))
    with client, pytest.raises(ServerError, match="has not been set up yet") as told:
        client.json("/data/projects")
    assert "save the site's settings" in told.value.hint


# --- names of files -----------------------------------------------------------------------------


def test_files_come_back_under_the_names_they_had(xnat, tmp_path):
    """XNAT stores some names percent-encoded, and lists them so."""
    names = ["a b.txt", "a+b ü.txt", "(1)&'x'.txt", "x#1.txt", "ü.txt", "sub/50%.txt", "p+q.txt"]
    project = "/data/projects/P1"
    with xnat.client() as client:
        for name in names:
            client.send(
                "PUT",
                files_path(project, "R", name),
                params={"inbody": "true"},
                body=name.encode,
                content_type="application/octet-stream",
            )
        found = list_files(client, project, "R")
        assert sorted(one.path for one in found) == sorted(names)
        for one in found:
            fetch_file(client, one, tmp_path / "fetched")
            assert (tmp_path / "fetched").read_bytes() == one.path.encode()
    stored = {row["Name"] for row in xnat.served.rows(f"{project}/resources/R/files")}
    assert {"(1)&'x'.txt", "a+b ü.txt", "x%231.txt", "%C3%BC.txt", "50%25.txt"} <= stored
