"""Which server, as whom."""

import pytest

from xnat_config.server.connection import (
    Connection,
    WrongCallError,
    load_saved,
    normal_address,
    resolve,
    save,
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("xnat.example.org", "https://xnat.example.org"),
        (" https://XNAT.example.org/ ", "https://xnat.example.org"),
        ("http://xnat.example.org:8080/xnat/", "http://xnat.example.org:8080/xnat"),
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1", "http://127.0.0.1"),
    ],
)
def test_addresses_get_one_spelling(written, meant):
    assert normal_address(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "ftp://xnat.example.org",
        "https://",
        "",
        "mailto:a@b",
        "http://[::1",
        "http://x:port",
        "x:99999",
    ],
)
def test_what_is_no_web_server_is_refused(text):
    with pytest.raises(WrongCallError):
        normal_address(text)


def test_login_in_the_address_is_refused_without_repeating_it():
    with pytest.raises(WrongCallError) as caught:
        normal_address("https://ann:hush@xnat.example.org")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "plain"),
    [
        ("http://xnat.example.org", True),
        ("https://xnat.example.org", False),
        ("http://localhost:8080", False),
        ("http://[::1]:80", False),
    ],
)
def test_unprotected_connections_are_known(server, plain):
    assert Connection(server).is_plain is plain


def test_option_counts_before_environment_before_what_was_saved(tmp_path):
    home = {"XNAT_PIC_HOME": str(tmp_path)}
    with pytest.raises(WrongCallError, match="XNAT_PIC_SERVER"):
        resolve(environ=home)
    save(Connection("https://saved.example.org", "sam"), home)
    assert resolve(environ=home) == Connection("https://saved.example.org", "sam")
    named = {**home, "XNAT_PIC_SERVER": "env.example.org", "XNAT_PIC_USER": "eve"}
    assert resolve(environ=named) == Connection("https://env.example.org", "eve")
    assert resolve("opt.example.org", "ola", environ=named).server == "https://opt.example.org"
    assert resolve("opt.example.org", "ola", environ=named).user == "ola"


def test_how_a_user_logs_in_is_saved_and_counts_for_that_user_alone(tmp_path):
    home = {"XNAT_PIC_HOME": str(tmp_path)}
    saved = Connection("https://one.example.org", "sam", method="ldap", provider="ldap2")
    save(saved, home)
    assert resolve(environ=home) == saved
    assert resolve(user="eve", environ=home).method == ""
    assert resolve("https://two.example.org", environ=home).provider == ""
    named = {**home, "XNAT_PIC_AUTH_METHOD": "openid", "XNAT_PIC_AUTH_PROVIDER": "o1"}
    found = resolve(environ=named)
    assert (found.method, found.provider) == ("openid", "o1")
    assert resolve(environ=named, method="localdb").method == "localdb"


def test_user_of_one_server_is_not_used_for_another(tmp_path):
    home = {"XNAT_PIC_HOME": str(tmp_path)}
    save(Connection("https://one.example.org", "sam"), home)
    assert resolve("https://two.example.org", environ=home).user == ""


def test_saved_connection_comes_back_with_any_signs_in_it(tmp_path):
    home = {"XNAT_PIC_HOME": str(tmp_path / "a" / "b")}
    bundle = tmp_path / 'odd "name" \\ ü.pem'
    saved = Connection("https://one.example.org", 'Zoë "Z" \\ O\'N', bundle)
    assert save(saved, home).is_file()
    assert load_saved(home) == saved


def test_damaged_settings_name_the_file(tmp_path):
    (tmp_path / "connection.toml").write_text("server = [", encoding="utf-8")
    with pytest.raises(WrongCallError, match=r"connection\.toml"):
        load_saved({"XNAT_PIC_HOME": str(tmp_path)})


def test_certificates_that_are_not_there_are_refused(tmp_path):
    environ = {"XNAT_PIC_HOME": str(tmp_path), "XNAT_PIC_CA_BUNDLE": str(tmp_path / "no.pem")}
    with pytest.raises(WrongCallError, match=r"no\.pem"):
        resolve("xnat.example.org", environ=environ)
