"""Where a login is kept, and that it cannot be read there."""

import os
import pickle
import stat
import time

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError

from uploader.login import login_store as credentials
from uploader.login.login_store import LoginStore, find_store, forget_login, load_login, save_login
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login, token_login
from xnat_pic.errors import LoginError, WrongCallError

SERVER = Connection("https://xnat.example.org", "ann")


class Memory(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


class Locked(Memory):
    """A keyring that nobody can open."""

    def get_password(self, service, username):
        raise KeyringError("locked")

    def set_password(self, service, username, password):
        raise KeyringError("locked")

    def delete_password(self, service, username):
        raise KeyringError("locked")


class Forgetful(Memory):
    """A keyring that takes everything and keeps nothing."""

    def set_password(self, service, username, password):
        pass


@pytest.fixture
def use(monkeypatch):
    """Use a keyring."""
    before = keyring.get_keyring()
    yield lambda backend: keyring.set_keyring(backend)
    keyring.set_keyring(before)


@pytest.fixture
def home(tmp_path):
    return {"XNAT_PIC_HOME": str(tmp_path / "home")}


@pytest.fixture
def token():
    return token_login("ann", "0f-alias", "s3cret-token", time.time() + 3600)


@pytest.fixture
def cheap(monkeypatch):
    """Derive keys fast; the cost is written into the file all the same."""
    monkeypatch.setitem(credentials._SCRYPT, "n", 2**10)


def test_keyring_comes_first_and_gives_the_token_back(use, home, token):
    backend = Memory()
    use(backend)
    asked = []
    assert (
        save_login(SERVER, token, None, lambda: asked.append(1) or "x", home) is LoginStore.KEYRING
    )
    assert asked == []
    found = load_login(SERVER, environ=home)
    assert (found.user, found.name, found.secret) == ("ann", "0f-alias", "s3cret-token")
    assert found.expires_s == token.expires_s
    assert find_store(SERVER, home) is LoginStore.KEYRING
    assert forget_login(SERVER, home) == [LoginStore.KEYRING]
    assert backend.kept == {}


def test_login_is_for_one_user_at_one_server(use, home, token):
    use(Memory())
    save_login(SERVER, token, environ=home)
    assert load_login(Connection(SERVER.server, "bob"), environ=home) is None
    assert load_login(Connection("https://other.example.org", "ann"), environ=home) is None


@pytest.mark.parametrize("backend", [Locked, Forgetful])
def test_file_is_used_where_no_keyring_works(use, home, token, cheap, tmp_path, backend):
    use(backend())
    assert save_login(SERVER, token, None, lambda: "open sesame", home) is LoginStore.FILE
    path = tmp_path / "home" / "login.aes"
    content = path.read_bytes()
    for secret in (b"s3cret-token", b"0f-alias", b"open sesame"):
        assert secret not in content
    found = load_login(SERVER, lambda: "open sesame", home)
    assert (found.secret, find_store(SERVER, home)) == ("s3cret-token", LoginStore.FILE)
    assert load_login(Connection(SERVER.server, "bob"), lambda: "open sesame", home) is None
    assert load_login(SERVER, lambda: "", home) is None
    assert forget_login(SERVER, home) == [LoginStore.FILE]
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_file_is_readable_by_its_owner_alone(use, home, token, cheap, tmp_path):
    use(Locked())
    save_login(SERVER, token, None, lambda: "x", home)
    mode = stat.S_IMODE((tmp_path / "home" / "login.aes").stat().st_mode)
    assert mode == 0o600


def test_same_login_is_never_the_same_file(use, home, token, cheap, tmp_path):
    use(Locked())
    path = tmp_path / "home" / "login.aes"
    heads = set()
    for _ in range(3):
        save_login(SERVER, token, None, lambda: "x", home)
        heads.add(path.read_bytes())
    salts = {head.split(b"\n")[1] for head in heads}
    assert len(heads) == len(salts) == 3


def test_wrong_passphrase_and_damage_are_told_apart_from_nothing(use, home, token, cheap, tmp_path):
    use(Locked())
    save_login(SERVER, token, None, lambda: "right", home)
    with pytest.raises(LoginError, match="passphrase"):
        load_login(SERVER, lambda: "wrong", home)
    path = tmp_path / "home" / "login.aes"
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"x" * 20)
    with pytest.raises(LoginError):
        load_login(SERVER, lambda: "right", home)
    for damage in (b"", b"no such file", content.replace(b'"n": 1024', b'"n": 99999999999')):
        path.write_bytes(damage)
        with pytest.raises(LoginError, match="damaged"):
            load_login(SERVER, lambda: "right", home)


def test_cost_of_a_key_is_high_by_default():
    assert credentials._SCRYPT["n"] * credentials._SCRYPT["r"] >= 2**19  # 64 MiB


def test_memory_is_last_and_a_named_store_is_not_replaced(use, home, token, cheap):
    use(Locked())
    assert save_login(SERVER, token, environ=home) is LoginStore.MEMORY
    assert save_login(SERVER, token, None, lambda: "", home) is LoginStore.MEMORY
    assert save_login(SERVER, token, LoginStore.MEMORY, lambda: "x", home) is LoginStore.MEMORY
    assert load_login(SERVER, lambda: "x", home) is None
    with pytest.raises(WrongCallError, match="keyring"):
        save_login(SERVER, token, LoginStore.KEYRING, lambda: "x", home)
    with pytest.raises(WrongCallError, match="passphrase"):
        save_login(SERVER, token, LoginStore.FILE, lambda: "", home)


def test_password_is_never_stored(use, home):
    backend = Memory()
    use(backend)
    with pytest.raises(WrongCallError, match="never stored"):
        save_login(SERVER, password_login("ann", "hush"), environ=home)
    assert backend.kept == {}


def test_login_does_not_show_or_travel(token):
    for login in (token, password_login("ann", "hush")):
        assert "hush" not in repr(login)
        assert "s3cret" not in repr(login)
        assert "alias" not in repr(login)
        with pytest.raises(TypeError):
            pickle.dumps(login)


def test_expiry_is_known():
    assert token_login("a", "b", "c", time.time() + 30).is_expired()
    assert not token_login("a", "b", "c", time.time() + 300).is_expired()
    assert not password_login("a", "b").is_expired()
