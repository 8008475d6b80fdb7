"""Every type, base, element and attribute of the served schemas is one of XNAT's own."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from archive_server import Served
from defusedxml.ElementTree import fromstring

from sandbox.archive import schema

XS = "{http://www.w3.org/2001/XMLSchema}"
Facts = dict[str, tuple[str, dict[str, str]]]


def _walk(element: Element, prefix: str, found: dict[str, str]) -> None:
    for child in element:
        if child.tag in (XS + "element", XS + "attribute"):
            sign = "@" if child.tag == XS + "attribute" else ""
            path = prefix + sign + child.get("name", "")
            found[path] = child.get("type", "")
            _walk(child, path + "/", found)
        elif child.tag != XS + "annotation":
            _walk(child, prefix, found)


def _facts(text: str) -> Facts:
    """Return base and contents (path to type) of each type; root elements as type ``name!``."""
    found: Facts = {}
    for child in fromstring(text):
        name = child.get("name", "")
        if child.tag == XS + "complexType":
            extension = child.find(f"{XS}complexContent/{XS}extension")
            contents: dict[str, str] = {}
            _walk(child, "", contents)
            found[name] = (extension.get("base", "") if extension is not None else "", contents)
        elif child.tag == XS + "element":
            found[name + "!"] = (child.get("type", ""), {})
    return found


@pytest.mark.parametrize(("ours", "theirs"), [("xnat", "xnat/xnat.xsd"), ("roi", "roi/roi.xsd")])
def test_names_are_those_of_xnat(shared_data: Path, ours: str, theirs: str) -> None:
    real = _facts((shared_data / "xnat_schemas" / theirs).read_text("utf-8"))
    for name, (base, contents) in _facts(schema.schema_text(ours)).items():
        assert name in real
        assert real[name][0] == base, name
        assert [path for path in real[name][1] if path in contents] == list(contents), name
        for path, kind in contents.items():
            assert not (kind and real[name][1][path]) or kind == real[name][1][path], path


def test_every_session_and_scan_type_of_xnat_is_served(shared_data: Path) -> None:
    real = _facts((shared_data / "xnat_schemas" / "xnat" / "xnat.xsd").read_text("utf-8"))
    bases = ("xnat:imageSessionData", "xnat:imageScanData")
    expected = {"xnat:" + name for name, (base, _) in real.items() if base in bases}
    served = {name for base in bases for name in schema.subtypes(base)} - set(bases)
    assert served == expected


def test_bases_are_served_too() -> None:
    for name in schema.subtypes("xnat:experimentData"):
        for base in schema.bases(name):
            assert schema.is_known(base)


def test_schemas_are_at_their_addresses(served: Served) -> None:
    names = served.get("/xapi/schemas?format=json").json()
    assert names == ["xdat", "xnat", "roi"]
    for name in names:
        answer = served.get(f"/xapi/schemas/{name}")
        assert answer.headers["Content-Type"].startswith("application/xml")
        assert "<xs:schema " in answer.text
    assert served.get("/xapi/schemas/none").status_code == 404
