"""One login, patience, and honest errors."""

import contextlib
import datetime
import ipaddress
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import requests
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.archive.archive import Archive, Settings
from sandbox.archive.server import make_app
from uploader.errors import LoginError, RefusedError, ServerError, UnreachableError
from uploader.login.tokens import issue_token, withdraw_token
from uploader.server.answers import reason
from uploader.server.client import Client, LostAnswerError, Patience
from uploader.server.login import Login, from_password
from xnat_config.connection import Connection

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.02)


def test_every_request_is_repeated_the_last_one_too(xnat):
    with xnat.client() as client:
        for path in ("/data/projects", "/data/JSESSION"):
            xnat.fault({"path": path, "status": 503, "count": 3})
            assert client.send("GET", path).status_code == 200
        assert [rule["hits"] for rule in xnat.faults()] == [3, 3]


def test_waits_grow_and_end(xnat):
    waits = []
    client = xnat.client(patience=Patience(5, 1.0, 3.0), sleep=waits.append)
    xnat.fault({"path": "/data/projects", "status": 500, "count": 0})
    with client, pytest.raises(UnreachableError) as caught:
        client.send("GET", "/data/projects")
    assert caught.value.status == 500
    assert xnat.faults()[0]["hits"] == 5
    for wait, wanted in zip(waits, [1, 2, 3, 3], strict=True):
        assert 0.9 * wanted <= wait <= 1.1 * wanted


@pytest.mark.parametrize("status", [400, 403, 404, 409, 417, 422, 507])
def test_what_cannot_succeed_is_asked_once(xnat, status):
    with xnat.client() as client:
        xnat.fault({"path": "/data/projects", "status": status, "count": 0})
        with pytest.raises((RefusedError, ServerError)) as caught:
            client.send("GET", "/data/projects")
        assert caught.value.status == status
        assert xnat.faults()[0]["hits"] == 1


def test_reason_is_the_servers_own(xnat):
    with xnat.client() as client, pytest.raises(RefusedError) as caught:
        client.send("PUT", "/data/projects/P1/subjects/s/experiments/E", params={"a": "b"})
    assert caught.value.status == 417
    assert caught.value.message == "Need PUT Contents"


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (
            "<html><h3>Label &lt;b&gt; is\n taken.</h3><br></html>",
            "text/html",
            "Label <b> is taken.",
        ),
        ('{"message": "No disk left"}', "application/json", "No disk left"),
        ("plain words", "text/plain", "plain words"),
        ("\x1b[31mred", "text/plain", "[31mred"),
        ("<!DOCTYPE html><title>x</title>", "text/html", "The server answered 409 (Conflict)."),
        ("", "text/plain", "The server answered 409 (Conflict)."),
    ],
)
def test_reason_of_an_answer(body, kind, said):
    answer = requests.Response()
    answer.status_code, answer.reason, answer._content = 409, "Conflict", body.encode()
    answer.headers["content-type"] = kind
    assert reason(answer) == said


def test_work_that_must_not_be_done_twice_is_not_repeated(xnat):
    with xnat.client() as client:
        xnat.fault({"method": "PUT", "path": "/data/projects/P2", "lose_answer": True, "count": 0})
        with pytest.raises(LostAnswerError):
            client.send("PUT", "/data/projects/P2", repeat=False)
        assert xnat.faults()[0]["hits"] == 1
        assert client.exists("/data/projects/P2")


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
        before = client._generation
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert client._generation - before in (1, 2)


def test_renewal_that_does_not_help_is_said_and_not_repeated(xnat):
    with xnat.client() as client:
        xnat.fault({"path": "/data/projects", "drop_login": True, "count": 0})
        with pytest.raises(LoginError) as caught:
            client.send("GET", "/data/projects")
        assert "Log in again" in caught.value.hint
        assert xnat.faults()[0]["hits"] == 2


def test_wrong_password_is_a_login_error_and_a_fault_is_not(xnat):
    with pytest.raises(LoginError, match="refuses the login of admin"):
        xnat.client(password="wrong").open()
    xnat.fault({"path": "/data/services/auth", "status": 500, "count": 0})
    with pytest.raises(UnreachableError) as caught:
        xnat.client(patience=QUICK).open()
    assert not isinstance(caught.value, LoginError)


@pytest.mark.parametrize("answered", range(4))
def test_login_that_breaks_off_leaves_no_thread(xnat, answered):
    xnat.fault({"path": "/data*", "lose_answer": True, "skip": answered, "count": 0})
    client = xnat.client(patience=Patience(1, 0.01, 0.01))
    with contextlib.suppress(UnreachableError):
        client.open()
    client.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "KeepAlive" in name]


def test_nobody_there(unused_port):
    connection = Connection(f"http://127.0.0.1:{unused_port}", "ann")
    with pytest.raises(UnreachableError, match="failed or was cut"):
        Client(connection, from_password("ann", "x"), QUICK).open()


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
    with Client(connection, token, QUICK) as client:
        assert client.exists("/data/projects/P1")
        assert withdraw_token(client, token)
    with pytest.raises(LoginError, match="no longer valid"):
        Client(connection, token, QUICK).open()


def test_token_past_its_time_is_not_even_tried(xnat):
    token = Login("admin", "alias", "secret", time.time() - 1)
    with pytest.raises(LoginError, match="expired"):
        Client(Connection(xnat.url, "admin"), token, QUICK).open()


def test_answer_of_a_proxy_is_no_answer_of_xnat(xnat):
    with xnat.client() as client, pytest.raises(ServerError, match="not what XNAT sends"):
        client.json("/data/auth")


def test_version_is_known(xnat):
    with xnat.client() as client:
        assert client.version[:2] == (1, 8)


def test_session_ends_on_the_server(xnat):
    client = xnat.client()
    client.open()
    cookies = client._session.interface.cookies.copy()
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


@contextmanager
def _https(archive, certificate):
    config = uvicorn.Config(
        make_app(archive), port=0, log_level="error", ws="none", lifespan="auto",
        ssl_certfile=str(certificate), ssl_keyfile=str(certificate),
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)


def _own_certificate(path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "xnat.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(own, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    bundle = path.with_name("bundle.pem")
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return bundle


def test_certificates_are_verified_always_and_a_bundle_helps(tmp_path, monkeypatch):
    bundle = _own_certificate(tmp_path / "server.pem")
    with _https(Archive(tmp_path / "archive", Settings()), tmp_path / "server.pem") as url:
        login = from_password("admin", "admin")
        with pytest.raises(UnreachableError, match="not trusted") as caught:
            Client(Connection(url, "admin"), login, Patience(attempts=1)).open()
        assert "--ca-bundle" in caught.value.hint
        trusting = Connection(url, "admin", bundle)
        with Client(trusting, login, QUICK) as client:
            assert client.send("GET", "/data/auth").status_code == 200
        # The environment of other programs must not undo what was asked for here.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem.missing"))
        with Client(trusting, login, QUICK) as client:
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
    login = from_password("admin", "admin")
    with Client(Connection("http://xnat.invalid", "admin"), login, QUICK) as client:
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
        Client(
            Connection("http://xnat.invalid", "admin"),
            from_password("admin", "admin"),
            Patience(attempts=1),
        ).open()
