"""Read pipeline descriptors: what a pipeline is, what it applies to, what its form asks for."""

from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from .refusals import Refused

NAMESPACE = "http://nrg.wustl.edu/pipeline"
_P = f"{{{NAMESPACE}}}"


@dataclass(frozen=True)
class Input:
    """One question of the launch form.

    Attributes
    ----------
    schema_link : str
        Path of the session's values to choose from, such as
        ``xnat:imageSessionData/scans/scan/ID``; empty for none.
    choices : tuple of str
        Values of a ``csv`` list; one value is a default that can be changed.
    """

    name: str
    description: str
    schema_link: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Descriptor:
    """A pipeline as its descriptor tells it."""

    name: str
    description: str
    applies_to: str
    generates: tuple[str, ...]
    version: str
    website: str
    publications: tuple[str, ...]
    authors: tuple[dict[str, str], ...]
    requirements: dict[str, str]
    steps: tuple[tuple[str, str], ...]
    inputs: tuple[Input, ...]


def read_descriptor(text: str | bytes) -> Descriptor:
    """Return what a descriptor says.

    Raises
    ------
    Refused
        422 for what is no pipeline descriptor.
    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused(
            422, "The pipeline descriptor is no XML document that can be read."
        ) from error
    if root.tag != f"{_P}Pipeline":
        raise Refused(422, "The document is no pipeline descriptor: its root is not Pipeline.")
    about, xnat = root.find(f"{_P}documentation"), root.find(f"{_P}xnatInfo")
    name = _text(root, "name").removesuffix(".xml")
    if not name:
        raise Refused(422, "The pipeline descriptor has no name.")
    return Descriptor(
        name=name,
        description=_text(root, "description"),
        applies_to=xnat.get("appliesTo", "") if xnat is not None else "",
        generates=_texts(xnat, "generatesElements/element"),
        version=_text(about, "version"),
        website=_text(about, "website"),
        publications=_texts(about, "publications/publication"),
        authors=tuple(_author(one) for one in _all(about, "authors/author")),
        requirements={
            one.get("name", ""): (one.text or "").strip()
            for one in _all(root, "resourceRequirements/property")
        },
        steps=tuple(
            (one.get("id", ""), one.get("description", "")) for one in _all(root, "steps/step")
        ),
        inputs=tuple(_input(one) for one in _all(about, "input-parameters/parameter")),
    )


def _all(parent: Element | None, path: str) -> list[Element]:
    if parent is None:
        return []
    return parent.findall("/".join(_P + part for part in path.split("/")))


def _texts(parent: Element | None, path: str) -> tuple[str, ...]:
    return tuple(text for one in _all(parent, path) if (text := (one.text or "").strip()))


def _text(parent: Element | None, path: str) -> str:
    return next(iter(_texts(parent, path)), "")


def _author(element: Element) -> dict[str, str]:
    parts = {"lastname": _text(element, "lastname"), "firstname": _text(element, "firstname")}
    for contact in _all(element, "contact"):
        parts |= {str(one.tag).rpartition("}")[2]: (one.text or "").strip() for one in contact}
    return {name: value for name, value in parts.items() if value}


def _input(element: Element) -> Input:
    link = _text(element, "values/schemalink") or _text(element, "values/schemaLink")
    csv = _text(element, "values/csv")
    choices = tuple(part.strip() for part in csv.split(",") if part.strip())
    return Input(_text(element, "name"), _text(element, "description"), link, choices)


def to_json(descriptor: Descriptor, path: str) -> dict[str, Any]:
    """Return a descriptor as the address of one pipeline gives it."""
    return {
        "path": path,
        "description": descriptor.description,
        "generates": ", ".join(descriptor.generates),
        "appliesTo": descriptor.applies_to,
        "resourceRequirements": ", ".join(
            f"{name}={value}" for name, value in descriptor.requirements.items()
        ),
        "website": descriptor.website,
        "publications": ", ".join(descriptor.publications),
        "authors": list(descriptor.authors),
        "version": descriptor.version,
        "steps": [{"id": name, "description": text} for name, text in descriptor.steps],
        "inputParameters": [
            {"name": one.name, "description": one.description, "values": _values(one)}
            for one in descriptor.inputs
        ],
    }


def _values(one: Input) -> dict[str, str]:
    return {"schemaLink": one.schema_link} if one.schema_link else {"csv": ",".join(one.choices)}
