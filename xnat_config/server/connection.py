"""Which XNAT server, as whom, and over what kind of connection. Never a secret."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from xnat_pic.errors import WrongCallError
from xnat_pic.files import write_file
from xnat_pic.tables import read_toml

SERVER_VARIABLE = "XNAT_PIC_SERVER"
USER_VARIABLE = "XNAT_PIC_USER"
PASSWORD_VARIABLE = "XNAT_PIC_PASSWORD"
CA_VARIABLE = "XNAT_PIC_CA_BUNDLE"
METHOD_VARIABLE = "XNAT_PIC_AUTH_METHOD"
PROVIDER_VARIABLE = "XNAT_PIC_AUTH_PROVIDER"
FOLDER_VARIABLE = "XNAT_PIC_HOME"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Connection:
    """Where to connect.

    Attributes
    ----------
    server : str
        Address without a trailing slash; a path is kept (``https://host/xnat``).
    ca_bundle : Path or None
        File of certificates to trust instead of the usual ones. Verification is always on.
    connect_timeout_s, read_timeout_s : float
        Seconds to wait for the connection, and for the next byte of an answer.
    method : str
        XNAT's authentication method of the user, such as ``ldap``; empty lets XNAT guess, which it
        can for users that it knows.
    provider : str
        Id of the provider, where a site has several of one method.

    Proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY``), as requests reads it.
    """

    server: str
    user: str = ""
    ca_bundle: Path | None = None
    connect_timeout_s: float = 12.0
    read_timeout_s: float = 300.0
    method: str = ""
    provider: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return (urlsplit(self.server).hostname or "") in _LOOPBACK

    @property
    def is_plain(self) -> bool:
        """Whether what is sent, the login too, travels without encryption to another machine."""
        return self.server.startswith("http:") and not self.is_loopback

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.server).netloc


def settings_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a person's settings (``XNAT_PIC_HOME``, else the system's place)."""
    if named := environ.get(FOLDER_VARIABLE):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("xnat-pic", appauthor=False)


def normal_address(text: str) -> str:
    """Return a server's address in one spelling.

    Without a scheme it is https, and http on this machine itself.

    Raises
    ------
    WrongCallError
        If it is no address of a web server, or holds a user or password.
    """
    text = text.strip()
    wrong = WrongCallError(
        "The server's address is not understood. Write it like https://xnat.example.org."
    )
    try:
        if "://" not in text:
            host = urlsplit(f"//{text}").hostname or ""
            text = f"{'http' if host in _LOOPBACK else 'https'}://{text}"
        parts = urlsplit(text)
        understood = parts.port != 0 and parts.scheme in ("http", "https") and parts.hostname
    except ValueError:  # brackets or a port that cannot be; its text may hold a password
        raise wrong from None
    if not understood:
        raise wrong
    if "@" in parts.netloc:
        raise WrongCallError(
            "The server's address holds a login. Give the address alone; the user goes into "
            f"--user or {USER_VARIABLE}, and the password is asked for."
        )
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))


def resolve(
    server: str = "",
    user: str = "",
    ca_bundle: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    method: str = "",
    provider: str = "",
) -> Connection:
    """Return the connection: what is given, else the environment, else what was saved.

    Raises
    ------
    WrongCallError
        If no server is known, or a setting makes no sense.
    """
    saved = load_saved(environ)
    address = server or environ.get(SERVER_VARIABLE, "") or (saved.server if saved else "")
    if not address:
        raise WrongCallError(
            f"No server is named. Use --server or {SERVER_VARIABLE}, or log in once."
        )
    address = normal_address(address)
    same = saved is not None and saved.server == address
    who = user or environ.get(USER_VARIABLE, "") or (saved.user if saved and same else "")
    bundle = ca_bundle or (Path(environ[CA_VARIABLE]) if environ.get(CA_VARIABLE) else None)
    if bundle is None and saved and same:
        bundle = saved.ca_bundle
    if bundle is not None and not bundle.exists():
        raise WrongCallError(
            f"The file of certificates {bundle} is not there. Correct --ca-bundle or {CA_VARIABLE}."
        )
    known = saved if saved is not None and same and saved.user == who else None
    method = method or environ.get(METHOD_VARIABLE, "") or (known.method if known else "")
    provider = provider or environ.get(PROVIDER_VARIABLE, "") or (known.provider if known else "")
    return Connection(address, who, bundle, method=method, provider=provider)


def load_saved(environ: Mapping[str, str] = os.environ) -> Connection | None:
    """Return the connection of the last `save`, None if there is none.

    Raises
    ------
    WrongCallError
        If the file cannot be understood.
    """
    path = settings_folder(environ) / "connection.toml"
    if not path.exists():
        return None
    try:
        table = read_toml(path)
    except WrongCallError as error:
        raise WrongCallError(
            f"The saved connection {path} cannot be read.",
            path=path,
            hint="Remove the file and log in again.",
        ) from error
    address, bundle = table.get("server", ""), table.get("ca_bundle", "")
    if not isinstance(address, str) or not address:
        return None
    connection = Connection(
        normal_address(address),
        str(table.get("user", "")),
        method=str(table.get("method", "")),
        provider=str(table.get("provider", "")),
    )
    return replace(connection, ca_bundle=Path(str(bundle)) if bundle else None)


def save(connection: Connection, environ: Mapping[str, str] = os.environ) -> Path:
    """Remember server, user, how they log in and certificates for the next run; return the file."""
    values = {"server": connection.server, "user": connection.user}
    values |= {"method": connection.method} if connection.method else {}
    values |= {"provider": connection.provider} if connection.provider else {}
    if connection.ca_bundle is not None:
        values["ca_bundle"] = str(connection.ca_bundle.absolute())
    # A JSON string is a TOML string too.
    text = "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()
    )
    path = settings_folder(environ) / "connection.toml"
    return write_file(path, "# The server of the last login.\n" + text)
