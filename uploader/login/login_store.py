"""The stored login: an alias token in the system's keyring, or in an encrypted file.

The password itself is never stored. A token is a name and a secret that the server made for this
purpose; it expires by itself, and the server can make it invalid.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

from xnat_config.server.connection import Connection, settings_folder
from xnat_config.server.login import Login, token_login
from xnat_pic.errors import LoginError, WrongCallError
from xnat_pic.files import write_file

SERVICE = "xnat-pic"
_MAGIC = b"XNAT-PIC credentials 1\n"
# scrypt with 64 MiB and some tenths of a second: a stolen file is costly to guess at.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}
_SCRYPT_LIMIT = {"n": 2**20, "r": 16, "p": 4}
_SCRYPT_MEMORY = 2**31 - 1


class LoginStore(Enum):
    """Where a login is kept."""

    KEYRING = "keyring"
    FILE = "file"
    MEMORY = "memory"

    @property
    def title(self) -> str:
        """The store as text for a person."""
        return {
            LoginStore.KEYRING: "the keyring of this system",
            LoginStore.FILE: "an encrypted file with your passphrase",
            LoginStore.MEMORY: "memory only: it is forgotten when the program ends",
        }[self]


def save_login(
    connection: Connection,
    login: Login,
    store: LoginStore | None = None,
    ask_passphrase: Callable[[], str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> LoginStore:
    """Keep a token; return the store that took it.

    Parameters
    ----------
    store : LoginStore, optional
        The only one to use. By default the keyring, then the file where a passphrase can be
        asked for, then memory.
    ask_passphrase : callable, optional
        Asks the person for a passphrase for the file; an empty answer means no file.

    Raises
    ------
    WrongCallError
        If the login is a password, or the named store cannot be used.
    """
    if not login.is_token:
        raise WrongCallError("A password is never stored; only a token that the server issued is.")
    if store in (None, LoginStore.KEYRING):
        if _keyring_save(connection, login):
            _file(environ).unlink(missing_ok=True)
            return LoginStore.KEYRING
        if store is LoginStore.KEYRING:
            raise WrongCallError(
                "This system has no keyring that can be used.", hint="Use --store file."
            )
    if store in (None, LoginStore.FILE) and ask_passphrase is not None:
        passphrase = ask_passphrase()
        if passphrase:
            _file_save(_file(environ), connection, login, passphrase)
            return LoginStore.FILE
    if store is LoginStore.FILE:
        raise WrongCallError(
            "The file needs a passphrase.", hint="Type one, or use --store memory."
        )
    return LoginStore.MEMORY


def load_login(
    connection: Connection,
    ask_passphrase: Callable[[], str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Login | None:
    """Return the stored token for a server and user; None if there is none that can be opened.

    Raises
    ------
    LoginError
        If the passphrase is wrong or the file is damaged.
    """
    found = _keyring_load(connection)
    if found is not None:
        return found
    path = _file(environ)
    if ask_passphrase is None or not path.is_file():
        return None
    passphrase = ask_passphrase()
    return _file_load(path, connection, passphrase) if passphrase else None


def find_store(connection: Connection, environ: Mapping[str, str] = os.environ) -> LoginStore:
    """Tell which store holds a login, without opening the encrypted file."""
    if _keyring_load(connection) is not None:
        return LoginStore.KEYRING
    return LoginStore.FILE if _file(environ).is_file() else LoginStore.MEMORY


def has_keyring() -> bool:
    """Tell whether this system has a keyring that can be asked; it may still refuse."""
    import keyring
    from keyring.backends import fail, null

    return not isinstance(keyring.get_keyring(), fail.Keyring | null.Keyring)


def forget_login(
    connection: Connection, environ: Mapping[str, str] = os.environ
) -> list[LoginStore]:
    """Remove what is stored; return the stores that held something."""
    held = []
    if _keyring_load(connection) is not None and _keyring_delete(connection):
        held.append(LoginStore.KEYRING)
    path = _file(environ)
    if path.is_file():
        path.unlink()
        held.append(LoginStore.FILE)
    return held


def _account(connection: Connection) -> str:
    return f"{connection.user}@{connection.server}"


def _to_text(connection: Connection, login: Login) -> str:
    return json.dumps(
        {
            "server": connection.server,
            "user": login.user,
            "alias": login.name,
            "secret": login.secret,
            "expires": login.expires_s,
        }
    )


def _from_text(text: str, connection: Connection) -> Login | None:
    try:
        values = json.loads(text)
        if (values["server"], values["user"]) != (connection.server, connection.user):
            return None
        return token_login(
            values["user"], values["alias"], values["secret"], float(values["expires"])
        )
    except (ValueError, KeyError, TypeError):
        return None


def _keyring_save(connection: Connection, login: Login) -> bool:
    import keyring
    from keyring.errors import KeyringError

    text = _to_text(connection, login)
    try:
        keyring.set_password(SERVICE, _account(connection), text)
        # Some back ends take a value and lose it: what cannot be read back is not stored.
        return keyring.get_password(SERVICE, _account(connection)) == text
    except (KeyringError, OSError, RuntimeError):
        return False


def _keyring_load(connection: Connection) -> Login | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        text = keyring.get_password(SERVICE, _account(connection))
    except (KeyringError, OSError, RuntimeError):
        return None
    return _from_text(text, connection) if text else None


def _keyring_delete(connection: Connection) -> bool:
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(SERVICE, _account(connection))
    except (KeyringError, OSError, RuntimeError):
        return False
    return True


def _file(environ: Mapping[str, str]) -> Path:
    return settings_folder(environ) / "login.aes"


def _key(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> str:
    """Return the key for the AES Crypt container, as text."""
    key = hashlib.scrypt(
        passphrase.encode("utf-8"),
        salt=salt,
        n=cost["n"],
        r=cost["r"],
        p=cost["p"],
        maxmem=_SCRYPT_MEMORY,
        dklen=32,
    )
    return key.hex()


def _file_save(path: Path, connection: Connection, login: Login, passphrase: str) -> None:
    """Write salt and cost as one JSON line, then the AES Crypt container."""
    import pyAesCrypt

    salt = secrets.token_bytes(32)
    sealed = io.BytesIO()
    pyAesCrypt.encryptStream(
        io.BytesIO(_to_text(connection, login).encode("utf-8")),
        sealed,
        _key(passphrase, salt, _SCRYPT),
    )
    head = json.dumps({"kdf": "scrypt", "salt": salt.hex(), **_SCRYPT}).encode("ascii")
    write_file(path, _MAGIC + head + b"\n" + sealed.getvalue(), private=True)


def _file_load(path: Path, connection: Connection, passphrase: str) -> Login | None:
    import pyAesCrypt

    damaged = LoginError(
        "The file with the stored login is damaged.", path=path, hint="Log in again."
    )
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        raise damaged
    head, _, sealed = content[len(_MAGIC) :].partition(b"\n")
    try:
        cost = json.loads(head)
        salt = bytes.fromhex(cost["salt"])
        within = all(0 < int(cost[name]) <= limit for name, limit in _SCRYPT_LIMIT.items())
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    if not within:
        raise damaged
    opened = io.BytesIO()
    try:
        key = _key(passphrase, salt, cost)
        pyAesCrypt.decryptStream(io.BytesIO(sealed), opened, key)
    except ValueError as error:
        raise LoginError(
            "The passphrase does not open the stored login.",
            path=path,
            hint="Try again, or run logout and log in anew.",
        ) from error
    return _from_text(opened.getvalue().decode("utf-8", "replace"), connection)
