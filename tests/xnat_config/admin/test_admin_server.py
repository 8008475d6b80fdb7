"""Records that are damaged, and the rules of comparison."""

import json

import pytest

from xnat_config import definitions
from xnat_config.admin.installation import Installation
from xnat_config.admin.model import Key, State, covers, decide, difference
from xnat_config.admin.specification import parse_specification
from xnat_pic.errors import ServerError

KEY = Key("variable", "P1", "x")


OTHERS = {"kind": "variable", "project": "P2", "name": "xnat:subjectData/group", "document": {}}


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[1]", b'{"things": [{"kind": "form"}]}', b"null "),
        json.dumps({"things": [OTHERS]}).encode(),  # of a project that is not its own
    ],
)
def test_a_damaged_record_is_told(start, login, tmp_path, body):
    served = start()
    file = "/data/projects/P1/resources/XNAT_PIC_ADMIN/files/applied.json?inbody=true"
    assert served.put(file, data=body).status_code == 200
    spec = parse_specification({"projects": ["P1"]}, tmp_path)
    if body == b"null ":
        assert Installation(login(served), spec).removal() == []
        return
    with pytest.raises(ServerError, match="is damaged"):
        Installation(login(served), spec)


def test_a_document_type_is_not_read():
    with pytest.raises(ValueError, match="document type"):
        definitions.parse_project(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    with pytest.raises(ValueError, match="no XML"):
        definitions.parse_project(b"<a>")


@pytest.mark.parametrize(
    ("found", "desired", "same"),
    [
        ({"a": 1, "id": 7}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": False}, True),
        ({"a": 1}, {"a": 1, "b": {}}, True),
        ({"a": 1}, {"a": 1, "b": 0.5}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [{"x": 1, "id": 3}]}, {"a": [{"x": 1}]}, True),
        ({"a": "1"}, {"a": 1}, False),
        ([], {"a": ""}, False),
    ],
)
def test_a_server_may_say_more_but_nothing_else(found, desired, same):
    assert covers(found, desired) is same


@pytest.mark.parametrize(
    ("found", "recorded", "state"),
    [
        (None, None, State.ADD),
        (None, {"v": 1}, State.ADD),
        ({"v": 2}, None, State.SAME),
        ({"v": 2}, {"v": 1}, State.SAME),
        ({"v": 1}, {"v": 1}, State.UPDATE),
        ({"v": 1}, None, State.OTHER),
        ({"v": 3}, {"v": 1}, State.EDITED),
    ],
)
def test_what_follows_from_three_documents(found, recorded, state):
    assert decide(KEY, {"v": 2}, found, recorded).state is state


def test_a_difference_in_words():
    assert difference({"v": ["b", "a"]}, {"v": ["a", "b"]}) == "v: the order is another"
    assert difference({"v": ["a"]}, {"v": ["a", "b"]}) == "v: b is missing"
    assert "\x1b" not in difference({"v": "\x1b[2J"}, {"v": "a"})
    assert difference({}, {"v": "a"}) == "v: nothing instead of a"
