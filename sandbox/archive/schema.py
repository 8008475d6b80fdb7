"""The data types that the archive serves, read from its own schemas.

A type's content is a list of nodes in the order of the schema. A node is a value (an element or
attribute that holds text) or a part: an element that is a type of its own or may be repeated.
Elements that only hold others are no nodes; their names are in the paths (``parameters/tr``).
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from xnat_pic.tables import load_table, read_text

_XS = "{http://www.w3.org/2001/XMLSchema}"
_PACKAGE = __package__ or ""


@dataclass(frozen=True)
class Node:
    """One element or attribute of a type.

    Attributes
    ----------
    path : str
        Element path below the type; an attribute's path has no sign for it.
    type : str
        XML Schema type of a value (``xs:date``), xsi type of a part.
    part : bool
        Whether it is an object of its own, not a value.
    many : bool
        Whether it may be repeated.
    attribute : bool
        Whether it is an XML attribute.
    """

    path: str
    type: str
    part: bool = False
    many: bool = False
    attribute: bool = False


@dataclass
class DataType:
    """An xsi type; `text` names its text content in documents, empty for none."""

    name: str
    base: str = ""
    text: str = ""
    nodes: list[Node] = field(default_factory=list)

    def find(self, path: str) -> Node | None:
        """Return a node by its path, compared without case."""
        return _index(self.name).get(path.lower())


@dataclass
class _Schemas:
    types: dict[str, DataType]
    roots: dict[str, str]


def facts() -> dict[str, Any]:
    """Return what types.toml says."""
    return load_table(_PACKAGE, "types.toml")


def schema_names() -> list[str]:
    """Return the names of the schemas, as clients ask for them."""
    return ["xdat", "xnat", "roi"]


def schema_text(name: str) -> str:
    """Return one schema as XML."""
    return read_text(_PACKAGE, f"schemas/{name}.xsd")


@cache
def _schemas() -> _Schemas:
    prefixes = {uri: prefix for prefix, uri in facts()["namespaces"].items()}
    found = _Schemas({}, {})
    for name in schema_names():
        root = fromstring(schema_text(name))
        prefix = prefixes[root.get("targetNamespace", "")]
        for child in root:
            if child.tag == _XS + "element":
                found.roots[child.get("type", "")] = f"{prefix}:{child.get('name')}"
            elif child.tag == _XS + "complexType":
                _read_type(found, f"{prefix}:{child.get('name')}", child)
    return found


def _read_type(found: _Schemas, name: str, element: Element) -> DataType:
    """Read a complex type and the unnamed types inside it; these are ``<type>_<element>``."""
    made = DataType(name)
    found.types[name] = made
    extension = element.find(f"{_XS}complexContent/{_XS}extension")
    if extension is not None:
        made.base = extension.get("base", "")
        element = extension
    if element.find(f"{_XS}simpleContent") is not None:
        made.text = name.partition(":")[2].rpartition("_")[2]
    _read_nodes(found, made, element, "")
    return made


def _read_nodes(found: _Schemas, made: DataType, element: Element, prefix: str) -> None:
    for child in element:
        if child.tag == _XS + "attribute":
            kind = child.get("type", "xs:string")
            made.nodes.append(Node(prefix + child.get("name", ""), kind, attribute=True))
        elif child.tag == _XS + "element":
            _read_element(found, made, child, prefix)
        elif child.tag != _XS + "annotation":
            _read_nodes(found, made, child, prefix)


def _read_element(found: _Schemas, made: DataType, child: Element, prefix: str) -> None:
    name, kind = child.get("name", ""), child.get("type", "")
    path, many = prefix + name, child.get("maxOccurs") == "unbounded"
    inner = child.find(_XS + "complexType")
    if many and (inner is not None or kind.startswith("xs:")):
        kind = f"{made.name}_{name}"
        if inner is None:
            found.types[kind] = DataType(kind, text=name)
        else:
            _read_type(found, kind, inner)
        made.nodes.append(Node(path, kind, part=True, many=True))
    elif inner is not None:
        extension = inner.find(f"{_XS}simpleContent/{_XS}extension")
        if extension is not None:
            made.nodes.append(Node(path, extension.get("base", "xs:string")))
        _read_nodes(found, made, inner, path + "/")
    else:
        part = bool(kind) and not kind.startswith("xs:")
        made.nodes.append(Node(path, kind or "xs:string", part=part, many=many))


def is_known(name: str) -> bool:
    """Tell whether there is a type of this name."""
    return name in _schemas().types


def data_type(name: str) -> DataType:
    """Return a type by name with everything it inherits: attributes first, then base before own."""
    return _whole(name)


@cache
def _whole(name: str) -> DataType:
    own = _schemas().types.get(name, DataType(name))
    nodes = list(own.nodes)
    if own.base:
        above = _whole(own.base)
        nodes = above.nodes + nodes
    return DataType(name, own.base, own.text, nodes)


@cache
def _index(name: str) -> dict[str, Node]:
    return {node.path.lower(): node for node in _whole(name).nodes}


@cache
def bases(name: str) -> tuple[str, ...]:
    """Return a type and everything it is derived from, nearest first."""
    found = _schemas().types.get(name)
    return (name, *(bases(found.base) if found and found.base else ()))


def is_a(name: str, base: str) -> bool:
    """Tell whether a type is another one or derived from it."""
    return base in bases(name)


@cache
def subtypes(base: str) -> tuple[str, ...]:
    """Return a type and every type derived from it."""
    return tuple(name for name in _schemas().types if is_a(name, base)) or (base,)


def exact_name(name: str) -> str:
    """Return a type's name in the schema's letters; as given where there is none."""
    return _letters().get(name.lower(), name)


@cache
def _letters() -> dict[str, str]:
    return {name.lower(): name for name in _schemas().types}


def kind_of(name: str) -> str:
    """Return which kind of item a type is; empty for none that can be made."""
    if name in facts()["abstract"]["types"]:
        return ""
    return family_of(name)


@cache
def family_of(name: str) -> str:
    """Return the kind of item that a type, also an abstract one, describes; empty for none."""
    kinds = facts()["kinds"]
    found = next((kind for kind, base in kinds.items() if is_a(name, base)), "")
    return found or ("experiment" if name in bases(kinds["assessor"]) else "")


def concrete(name: str) -> str:
    """Return the concrete type that stands for an abstract one."""
    return str(facts()["concrete"].get(name, name))


def root_element(name: str) -> str:
    """Return the name of a type's document with its prefix, such as ``xnat:MRSession``."""
    return _schemas().roots.get(name, name)


def type_of_root(element: str) -> str:
    """Return the type of a document by the name of its root; empty for an unknown one."""
    return next((kind for kind, root in _schemas().roots.items() if root == element), "")


def display_names(name: str) -> tuple[str, str]:
    """Return what people call one and several items of a type."""
    listed = facts()["names"].get(name)
    if listed:
        return listed[0], listed[1]
    plain = root_element(name).partition(":")[2]
    for ending in ("Session", "Scan"):
        if plain.endswith(ending) and plain != ending:
            plain = f"{plain.removesuffix(ending)} {ending}"
    return plain, plain + "s"
