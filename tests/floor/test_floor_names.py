"""Names that every file system takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnat_pic.text import UniqueNames, safe_name

RESERVED = {"CON", "PRN", "AUX", "NUL"} | {f"{s}{d}" for s in ("COM", "LPT") for d in range(1, 10)}


def is_legal(name: str) -> bool:
    """Apply the rules of Windows, the strictest."""
    return (
        bool(name)
        and not any(sign in '<>:"/\\|?*' or ord(sign) < 32 for sign in name)
        and name[-1] not in " ."
        and name.split(".")[0].strip().upper() not in RESERVED
        and len(name.encode("utf-8")) <= 255
    )


@given(st.text(max_size=300), st.integers(1, 200))
def test_any_text_becomes_a_legal_name(text, limit):
    name = safe_name(text, limit=limit)
    assert is_legal(name)
    assert len(name) <= limit + 1
    assert safe_name(name, limit=limit + 1) == name


@given(st.text("CONPRAUXLT19.: \t", max_size=8))
def test_texts_close_to_device_names(text):
    assert is_legal(safe_name(text))


@pytest.mark.parametrize(
    "name", ["T2_map-1", "20240725_091804", "Größe", "σ of T2", "a.b", ".hidden", "100%"]
)
def test_legal_names_stay(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T2*", "T2_"),
        ("a/b\\c", "a_b_c"),
        ("10:30?", "10_30_"),
        ("con", "_con"),
        ("CON.txt", "_CON.txt"),
        ("LPT1 .x", "_LPT1 .x"),
        ("name. . .", "name"),
        ("  name  ", "name"),
        ("tab\there\n", "tab_here_"),
        ("", "_"),
        ("..", "_"),
        ("...", "_"),
        ("\u202eabc", "_abc"),
        ("e\u0301", "é"),
        ("\ud800x", "_x"),
    ],
)
def test_each_rule(text, name):
    assert safe_name(text) == name


def test_the_caller_says_what_stands_for_nothing():
    assert safe_name(" . ", empty="series") == "series"


def test_long_names_are_cut_also_by_bytes():
    assert safe_name("x" * 300) == "x" * 48
    assert safe_name("語" * 300, limit=300) == "語" * 80  # of three bytes each
    assert safe_name("x" * 300, limit=300) == "x" * 240


@given(st.lists(st.sampled_from(["a", "A", "a_2", "b", "ß", "SS", "a_2_2"]), max_size=20))
def test_names_handed_out_differ_in_more_than_case(wanted):
    names = UniqueNames()
    given_out = [names.claim(name) for name in wanted]
    assert len({name.casefold() for name in given_out}) == len(wanted)
    assert all(name.startswith(want) for name, want in zip(given_out, wanted, strict=True))


def test_the_first_to_come_keeps_its_name():
    names = UniqueNames()
    assert [names.claim("T2"), names.claim("t2"), names.claim("T2")] == ["T2", "t2_2", "T2_3"]
