"""A site's own authority, handed to a program as text."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from xnat_config.server.certificates import (
    CERTIFICATES_VARIABLE,
    read_certificates,
    trusted_bundle,
)
from xnat_config.server.connection import CA_VARIABLE
from xnat_pic.errors import WrongCallError


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate that signed itself, for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "site.pem").write_bytes(b"# the site's own\n" + pem)
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return folder


@pytest.fixture
def server(authority):
    """The address of a server with that certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "site.pem", authority / "key.pem")
    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        served.socket = context.wrap_socket(served.socket, server_side=True)
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_what_the_site_hands_over_is_trusted_beside_the_usual(authority, server):
    word = read_certificates(authority / "site.pem")
    assert not set(word) & set(" \n'\"$`;#"), "a word that a shell and a form leave alone"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server, timeout=20, verify=True)
    bundle = trusted_bundle({CERTIFICATES_VARIABLE: word})
    assert requests.get(server, timeout=20, verify=str(bundle)).status_code == 204
    usual = Path(requests.certs.where()).read_text("utf-8").count("BEGIN CERTIFICATE")
    assert bundle.read_text("utf-8").count("BEGIN CERTIFICATE") == usual + 1


def test_a_file_that_is_named_stays_trusted(authority, tmp_path):
    own = tmp_path / "own.pem"
    own.write_text("# own\n", "utf-8")
    word = read_certificates(authority / "site.pem")
    bundle = trusted_bundle({CERTIFICATES_VARIABLE: word, CA_VARIABLE: str(own)})
    assert bundle.read_text("utf-8").startswith("# own")
    assert trusted_bundle({CA_VARIABLE: str(own)}) == own
    assert trusted_bundle({}) is None


def test_comments_of_a_bundle_may_be_in_any_letters(authority, tmp_path):
    own = tmp_path / "own.pem"
    own.write_bytes("# Università\n".encode("latin-1") + (authority / "site.pem").read_bytes())
    word = read_certificates(own)
    assert word == read_certificates(authority / "site.pem")
    bundle = trusted_bundle({CERTIFICATES_VARIABLE: word, CA_VARIABLE: str(own)})
    assert bundle.read_bytes().count(b"BEGIN CERTIFICATE") == 2


def test_a_folder_of_certificates_does_not_take_the_place_of_the_usual(authority):
    word = read_certificates(authority / "site.pem")
    environ = {CERTIFICATES_VARIABLE: word, "REQUESTS_CA_BUNDLE": str(authority)}
    assert trusted_bundle(environ).read_bytes().count(b"BEGIN CERTIFICATE") > 2


def test_a_file_that_is_named_and_not_there_is_told(tmp_path):
    with pytest.raises(WrongCallError, match=f"which {CA_VARIABLE} names"):
        trusted_bundle({CA_VARIABLE: str(tmp_path / "none.pem")})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("nothing", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\nno ascii: é\n-----END CERTIFICATE-----\n", "damaged"),
        ("KEY", "private key"),
        ("MANY", "more than a command can carry"),
    ],
)
def test_what_is_no_certificate_is_refused(authority, tmp_path, text, words):
    path = tmp_path / "site.pem"
    if text == "KEY":
        text = (authority / "site.pem").read_text() + (authority / "key.pem").read_text()
    if text == "MANY":
        text = (authority / "site.pem").read_text() * 200
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(WrongCallError, match=words):
        read_certificates(path)


def test_a_damaged_word_is_told_where_it_stands():
    with pytest.raises(WrongCallError, match=CERTIFICATES_VARIABLE):
        trusted_bundle({CERTIFICATES_VARIABLE: "AAAA"})
