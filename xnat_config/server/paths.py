"""Addresses on the server, with every part encoded."""

from __future__ import annotations

from urllib.parse import quote

# What may stand in a path as it is. XNAT stores names of files as they are sent, encoded or not.
_PLAIN = "!$&'()*,:;=@~"


def path_of(*parts: str) -> str:
    """Return an address: ``path_of("xapi", "commands", "1")``."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def data_path(*parts: str) -> str:
    """Return an address below ``/data``: ``data_path("projects", "a b")``."""
    return path_of("data", *parts)


def files_path(parent: str, resource: str, name: str = "") -> str:
    """Return the address of a resource's files, or of one of them.

    Parameters
    ----------
    parent : str
        Address of the item that has the resource.
    resource : str
        Label of the resource.
    name : str
        Path of the file below the resource, ``/`` between folders. XNAT decodes it where it holds a
        blank or a plus sign, and else stores ``#`` and letters beyond ASCII percent-encoded;
        `RemoteFile` decodes what is listed.
    """
    below = f"{parent}/resources/{quote(resource, safe='')}/files"
    if not name:
        return below
    # A name that is decoded as a form: there a blank and a plus sign are told apart.
    plain = "" if " " in name or "+" in name else _PLAIN
    return f"{below}/{quote(name, safe='/' + plain)}"
