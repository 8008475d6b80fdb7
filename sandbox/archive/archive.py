"""The archive as one object: its database, its contents, its settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import accounts, preferences
from .blobs import Blobs
from .database import Database

DEFAULT_PASSWORD = "admin"
PASSWORD_VARIABLE = "XNAT_PIC_SANDBOX_PASSWORD"


@dataclass(frozen=True)
class Settings:
    """How an archive is served.

    Attributes
    ----------
    xnat : str
        ``1.8``, ``1.9`` or ``1.10``: what differs between them follows this.
    engine, containers : bool
        Whether the classic pipeline engine and the Container Service are there.
    faults : bool
        Whether tests may inject faults.
    idle_s : float
        Idle seconds after which a session that is being received is built (XNAT: 300).
    unconfigured : bool
        Whether nobody has set up the site yet.
    directory : tuple of (str, str)
        Users and passwords of an LDAP server; XNAT learns of a user at the first login.
    latency_s : float
        Seconds that each answer comes later, as over a long way.
    preferences : mapping
        Site preferences to set when the archive is opened; others stay as they are.
    """

    xnat: str = "1.8"
    engine: bool = True
    containers: bool = True
    faults: bool = False
    idle_s: float = 300.0
    unconfigured: bool = False
    directory: tuple[tuple[str, str], ...] = ()
    latency_s: float = 0.0
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Archive:
    """An archive in a folder; opening one that exists finds everything as it was."""

    folder: Path
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()  # the engine wants whole paths
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.folder / "archive.sqlite")
        self.blobs = Blobs(self.folder)
        self._sweep()
        password = os.environ.get(PASSWORD_VARIABLE) or DEFAULT_PASSWORD
        with self.database.write() as connection:
            given = {"sitewidePetMr": "petmr"} if self.settings.xnat == "1.10" else {}
            preferences.store(connection, {**given, **self.settings.preferences})
            accounts.forget_expired(connection)
            accounts.set_user(
                connection,
                "admin",
                password,
                firstname="Admin",
                email="admin@localhost",
                is_admin=True,
            )

    def _sweep(self) -> None:
        with self.database.read() as connection:
            known = {row[0] for row in connection.execute("SELECT blob FROM file")}
            known |= {row[0] for row in connection.execute("SELECT blob FROM prearchive_file")}
        self.blobs.sweep(known)
