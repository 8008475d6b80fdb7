"""Addresses on the server, with every part encoded."""

from __future__ import annotations

from urllib.parse import quote


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
        Path of the file below the resource, ``/`` between folders.
    """
    below = f"{parent}/resources/{quote(resource, safe='')}/files"
    return f"{below}/{quote(name, safe='/')}" if name else below
