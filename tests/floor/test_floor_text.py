"""Text of strangers: nothing in it steers a terminal or breaks a file system."""

from hypothesis import given
from hypothesis import strategies as st

from xnat_pic.text import UniqueNames, one_line, printable, safe_name

ANY = st.text(alphabet=st.characters(), max_size=80)


@given(ANY)
def test_printable_keeps_length_and_holds_only_printable_signs(text):
    shown = printable(text, "?")
    assert len(shown) == len(text)
    assert shown.isprintable()
    assert all(a == b or not a.isprintable() for a, b in zip(text, shown, strict=True))


def test_printable_keeps_what_it_is_told_to():
    assert printable("a\tb\nc\x1b", keep="\t\n") == "a\tb\nc "


@given(ANY, st.integers(0, 20))
def test_one_line_has_no_double_blanks_and_keeps_its_limit(text, limit):
    line = one_line(text, limit)
    assert "  " not in line
    assert line.isprintable()
    assert not limit or len(line) <= limit


@given(ANY)
def test_safe_names_are_legal_everywhere(text):
    name = safe_name(text)
    assert name not in ("", ".", "..")
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert not name.endswith((".", " "))
    assert name.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
    assert len(name.encode()) <= 255


def test_unique_names_differ_also_without_case():
    names = UniqueNames()
    assert [names.claim(name) for name in ("a", "A", "a", "b")] == ["a", "A_2", "a_3", "b"]
