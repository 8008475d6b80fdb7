"""Read the engine's files from a catalog folder."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from .errors import RunError

NAMESPACE = "http://nrg.wustl.edu/pipeline"
P = f"{{{NAMESPACE}}}"
_MOST_BYTES = 5_000_000


def read_pipeline(catalog: Path, name: str) -> Element:
    """Return the root of a descriptor.

    Parameters
    ----------
    catalog : Path
        Catalog folder of the engine.
    name : str
        Path of the descriptor below it.

    Raises
    ------
    RunError
        Where there is none, or it is no descriptor.
    """
    return _read(catalog, name, "Pipeline")


def read_resource(catalog: Path, location: str, name: str) -> Element:
    """Return the root of a step program's description.

    Parameters
    ----------
    catalog : Path
        Catalog folder of the engine.
    location, name : str
        Folder below it, and file name without ``.xml``.

    Raises
    ------
    RunError
        Where there is none, or it is not a description of a program.
    """
    file = f"{location.strip('/')}/{name.removesuffix('.xml')}.xml"
    return _read(catalog, file, "Resource")


def _read(catalog: Path, name: str, wanted: str) -> Element:
    root = catalog.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise RunError(f"The catalog has no file {name}: install the pipelines again.")
    if path.stat().st_size > _MOST_BYTES:
        raise RunError(f"{name} is too large for a {wanted} document.")
    try:
        found: Element = ElementTree.fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RunError(f"{name} is no XML document that can be read.") from error
    if found.tag != P + wanted:
        raise RunError(f"{name} is no {wanted} document of the pipeline engine.")
    return found


def text(parent: Element, path: str) -> str:
    """Return the text of a child, without blanks around it; empty for none."""
    child = parent.find("/".join(P + part for part in path.split("/")))
    return (child.text or "").strip() if child is not None else ""


def children(parent: Element, path: str) -> list[Element]:
    """Return the elements below a path of names."""
    return parent.findall("/".join(P + part for part in path.split("/")))
