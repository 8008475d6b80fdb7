"""What a request wants an item to be: type, identity and values, from parameters or a document."""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from . import kept_parts, schema
from .columns import full_path
from .elements import Element, flatten, from_xml, parse, part_of
from .http import Call
from .refusals import Refused

# Paths, in lower case, that say what an item is or where it belongs.
_IDENTITY = ("id", "label", "project", "subject_id", "image_session_id", "imagesession_id")
# Parameters that act on an item or steer the answer and are no values of it.
_CONTROLS = frozenset(
    (
        "xsitype",
        "format",
        "req_format",
        "requested_format",
        "columns",
        "event_reason",
        "event_type",
        "event_action",
        "event_comment",
        "allowdatadeletion",
        "removefiles",
        "primary",
        "activate",
        "quarantine",
        "triggerpipelines",
        "fixscantypes",
        "pulldatafromheaders",
        "accessibility",
        "xnat_csrf",
    )
)


@dataclass
class Change:
    """A wish to make or change an item.

    Attributes
    ----------
    type : str
        Its xsi type; empty where the request does not say.
    values : dict of str to str
        Values by canonical path; ``NULL`` clears one.
    identity : dict of str to str
        What it is and belongs to, by lower-case path: id, label, project, subject_id ...
    document : Element, optional
        The document it comes from.
    replaces : bool
        Whether what the document does not name is removed.
    kept : list
        Parts of an assessor's document that the schemas here do not have.
    """

    type: str
    values: dict[str, str] = field(default_factory=dict)
    identity: dict[str, str] = field(default_factory=dict)
    document: Element | None = None
    replaces: bool = False
    kept: list[ElementTree.Element] = field(default_factory=list)


def read(call: Call, kind: str) -> Change:
    """Return what a request wants of an item of a kind.

    Raises
    ------
    Refused
        422 for a document that cannot be read or is of another kind; 400 for a path into what
        has an address of its own.
    """
    if call.body.lstrip()[:1] == b"<" or (call.body and call.content_type.endswith("/xml")):
        return _from_document(call, kind)
    change = Change(_named_type(call, kind))
    for name, value in call.params:
        if name.lower() not in _CONTROLS:
            _apply(change, kind, name, value)
    return change


def _named_type(call: Call, kind: str) -> str:
    named = schema.exact_name(call.get("xsiType"))
    if not named:
        return ""
    if not schema.is_known(named):
        raise Refused(400, f"{named} is not a data type of this archive.")
    if not _fits(named, kind):
        status = 400 if kind == "scan" else 422
        raise Refused(status, f"{named} cannot be PUT to this address, which is that of a {kind}.")
    return named


def _apply(change: Change, kind: str, name: str, value: str) -> None:
    if name.count("[") > name.count("]") and "]" in value:
        # The sign in field[name=dose]/field=5 was not escaped, and was taken for the separator.
        told, _, rest = value.partition("]")
        path, _, value = rest.partition("=")
        name = f"{name}={told}]{path}"
    found = full_path(kind, name)
    if found is None:
        return
    _, xsi_type, path = found
    typed = ":" in name.partition("/")[0]
    if typed and not _fits(xsi_type, kind):
        return
    if not change.type and typed:
        change.type = xsi_type
    _set(change, xsi_type, path, value)


def _fits(xsi_type: str, kind: str) -> bool:
    """Tell whether values of a type may be set on an item of a kind."""
    family = schema.family_of(xsi_type)
    return family == kind or xsi_type in schema.bases(schema.facts()["kinds"][kind])


def _set(change: Change, xsi_type: str, path: str, value: str) -> None:
    lower = path.lower()
    if lower in _IDENTITY:
        change.identity.setdefault(lower, value)
        return
    if lower.startswith("meta/"):
        return
    part = part_of(path, schema.facts()["parts"]["paths"])
    if part:
        raise Refused(400, f"{part} of {xsi_type} cannot be set here: it has its own address.")
    change.values.setdefault(path, value)


def _from_document(call: Call, kind: str) -> Change:
    root = parse(call.document)
    document = from_xml(root)
    family = schema.family_of(document.type)
    if family != kind and not {family, kind} <= {"experiment", "assessor"}:
        raise Refused(422, f"The document is a {document.type}; this is the address of a {kind}.")
    change = Change(document.type, document=document, replaces=call.flag("allowDataDeletion"))
    if family == "assessor":
        change.kept = kept_parts.take_unknown(root, document.type)
        change.document = document = from_xml(root, document.type)
    for path, value in flatten(document, schema.facts()["parts"]["paths"]).items():
        if path.lower() in _IDENTITY:
            if value:  # an empty name is that of the address
                change.identity[path.lower()] = value
        else:
            change.values[path] = value
    return change
