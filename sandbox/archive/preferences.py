"""Site preferences: what an administrator sets for the whole site, under the names XNAT has.

As in `items`, functions take a connection. Only preferences that the sandbox follows are here.
"""

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from .refusals import Refused

CHARSETS = ("US-ASCII", "ISO-8859-1", "UTF-8")
# What a preference is where nobody set it; its type is the type that it takes.
DEFAULTS: Mapping[str, Any] = {
    "siteUrl": "",  # empty: the address that was called
    "defaultPrearchiveCode": "4",
    "enableSitewideAnonymizationScript": True,
    "sitewidePetMr": "separate",  # until 1.10, see `Archive`
    # Series whose description a line matches are left out at import (blacklist), or all others.
    "enableSitewideSeriesImportFilter": False,
    "sitewideSeriesImportFilterMode": "blacklist",
    "sitewideSeriesImportFilter": "",
    # Objects of other classes than the images' go into a resource of their own (from 1.9.1 on).
    "separateSecondaryDicomOnArchive": True,
    # A change needs a reason where both are set.
    "requireChangeJustification": False,
    "showChangeJustification": False,
    # Who may send mails, by address.
    "ipsThatCanSendEmailsThroughRest": "^.*$",
    "adminEmail": "admin@localhost",
    # Where the site is found by what it starts; empty: where it was called.
    "processingUrl": "",
    # The sandbox's own: images of the Docker host, and the number of the user that XNAT's Tomcat
    # is there, who owns what a container is given; empty: the user of the sandbox.
    "sandboxDockerImages": "xnat-pic/pipelines:1.0",
    "sandboxTomcatUser": "",
    # The sandbox's own: how long the workflow stays open that a site may start after archiving.
    "sandboxAutoRunSeconds": 0.0,
    # Whether runs of the engine that nothing reports on any more are closed as Failed.
    "sandboxCloseStoppedRuns": False,
    # Letters of XML documents whose Content-Type names none, and of the engine's command lines:
    # the default of the server's Java.
    "sandboxDocumentCharset": "US-ASCII",
    "sandboxEngineCharset": "UTF-8",
}


_CHOICES = {
    "defaultPrearchiveCode": ("0", "4", "5"),
    "sitewidePetMr": ("separate", "petmr"),
    "sitewideSeriesImportFilterMode": ("blacklist", "whitelist"),
    "sandboxDocumentCharset": CHARSETS,
    "sandboxEngineCharset": CHARSETS,
}


def value(connection: sqlite3.Connection, name: str) -> Any:
    """Return a preference."""
    row = connection.execute("SELECT value FROM site WHERE name = ?", (name,)).fetchone()
    return DEFAULTS[name] if row is None else json.loads(row[0])


def every(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return all preferences by name."""
    return {name: value(connection, name) for name in DEFAULTS}


def store(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Set preferences; texts such as ``true`` are taken for what they say.

    Raises
    ------
    Refused
        400 for a name that the sandbox does not follow, or a value of another kind.
    """
    for name, given in values.items():
        if name not in DEFAULTS:
            raise Refused(400, f"The sandbox has no preference {name}.")
        wanted = _as_kind(name, given)
        if name in _CHOICES and wanted not in _CHOICES[name]:
            raise Refused(400, f"{name} is one of {', '.join(_CHOICES[name])} here.")
        if name in ("sitewideSeriesImportFilter", "ipsThatCanSendEmailsThroughRest"):
            _check_patterns(wanted)
        connection.execute(
            "INSERT INTO site VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(wanted)),
        )


def _check_patterns(text: str) -> None:
    for line in text.splitlines():
        try:
            re.compile(line)
        except re.error as error:
            raise Refused(400, f"{line!r} is no regular expression: {error}.") from error


def _as_kind(name: str, given: Any) -> Any:
    kind = type(DEFAULTS[name])
    if kind is bool and str(given).lower() in ("true", "false"):
        return str(given).lower() == "true"
    if kind is float and not isinstance(given, bool):
        try:
            return float(given)
        except (TypeError, ValueError):
            pass
    if kind is str and isinstance(given, str | int):
        return str(given)
    raise Refused(400, f"The preference {name} takes no {given!r}.")
