"""Where the Container Service runs containers: one host, as the service keeps and tells it.

As in `items`, functions take a connection.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from . import preferences
from .refusals import Refused

_KIND = "container-host"
_BACKENDS = ("docker", "swarm", "kubernetes")
_OPTIONAL = (
    "cert-path",
    "path-translation-xnat-prefix",
    "path-translation-docker-prefix",
    "container-user",
    "max-concurrent-finalizing-jobs",
    "gpu-vendor",
    "archive-pvc-name",
    "build-pvc-name",
    "combined-pvc-name",
    "archive-path-translation",
    "build-path-translation",
    "combined-path-translation",
)
_FRESH: Mapping[str, Any] = {
    "id": 1,
    "name": "Local socket",
    "host": "unix:///var/run/docker.sock",
    "backend": "docker",
    "pull-images-on-xnat-init": False,
    "auto-cleanup": True,
    "swarm-constraints": [],
    "status-email-enabled": True,
}
DEFAULT_ADMIN = "administrator@xnat.org"


def get(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the settings of the host."""
    row = connection.execute("SELECT body FROM document WHERE kind = ?", (_KIND,)).fetchone()
    kept = _FRESH if row is None else json.loads(row[0])
    swarm = kept["backend"] == "swarm"
    # The sandbox's own runner stands in for the host, and answers.
    return {**dict.fromkeys(_OPTIONAL), **kept, "swarm-mode": swarm, "ping": True}


def store(connection: sqlite3.Connection, given: Any) -> dict[str, Any]:
    """Set the host anew: what is not given is as the service takes it, not as it was before.

    Raises
    ------
    Refused
        400 for what the service does not take.
    """
    if not isinstance(given, dict):
        raise Refused(400, "The settings of the host are a JSON object.")
    swarm = given.get("swarm-mode") is True
    backend = str(given.get("backend") or ("swarm" if swarm else "docker")).lower()
    if backend not in _BACKENDS:
        raise Refused(400, f"The backend is one of {', '.join(_BACKENDS)}.")
    host, user = given.get("host"), given.get("container-user")
    if backend == "kubernetes" and user and not str(user).isdecimal():
        raise Refused(
            400,
            "If set, container user must be a string with integer value with kubernetes backend",
        )
    if backend != "kubernetes" and not host:
        raise Refused(400, f"Host cannot be empty for {backend} server setting")
    kept = {
        "id": 1,
        "name": given.get("name") or host,
        "host": host,
        "backend": backend,
        **{name: given[name] for name in _OPTIONAL if given.get(name) is not None},
        "pull-images-on-xnat-init": given.get("pull-images-on-xnat-init") is True,
        "auto-cleanup": given.get("auto-cleanup") is True,
        "swarm-constraints": given.get("swarm-constraints") or [],
        "status-email-enabled": given.get("status-email-enabled") is True,
    }
    connection.execute(
        "INSERT OR REPLACE INTO document VALUES ('', ?, '1', ?)", (_KIND, json.dumps(kept))
    )
    return get(connection)


def images(connection: sqlite3.Connection) -> list[str]:
    """Return the tags of the images that are there."""
    listed = str(preferences.value(connection, "sandboxDockerImages"))
    return [one.strip() for one in listed.split(",") if one.strip()]


def sends_mail(connection: sqlite3.Connection) -> bool:
    """Tell whether the service mails who launched a run at its end."""
    admin = preferences.value(connection, "adminEmail")
    return bool(get(connection)["status-email-enabled"]) and admin != DEFAULT_ADMIN
