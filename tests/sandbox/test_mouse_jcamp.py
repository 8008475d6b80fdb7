"""The text of a parameter file: wrapping, runs, strings, structs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.mouse.jcamp_write import (
    Array,
    Envelope,
    Symbol,
    Text,
    render_file,
    render_parameter,
    wrap,
)

PLAIN = Envelope("Parameter List", ("a comment",), "", rle=False, vis_every=2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, "##$X=2"),
        (1.5e-7, "##$X=1.5e-07"),
        (0.1 + 0.2, "##$X=0.3"),
        (True, "##$X=Yes"),
        (Symbol("littleEndian"), "##$X=littleEndian"),
        (Text("abc"), "##$X=( 65 )\n<abc>"),
        (Text("a<b>"), "##$X=( 65 )\n<a\\<b\\>>"),
        ((0, 3), "##$X=(0, 3)"),
        ((5, "FG_SLICE", "", 0, 2), "##$X=(5, <FG_SLICE>, <>, 0, 2)"),
        (Array([1, 2.5]), "##$X=( 2 )\n1 2.5"),
        (Array([1, 0, 0, 1], (2, 2)), "##$X=( 2, 2 )\n1 0 0 1"),
        (Array(["mm", "mm"], length=65), "##$X=( 2, 65 )\n<mm> <mm>"),
        (Array([("a", 0), ("b", 1)]), "##$X=( 2 )\n(<a>, 0) (<b>, 1)"),
    ],
)
def test_each_form_of_value(value, expected):
    assert render_parameter("X", value, rle=False) == expected


def test_long_runs_are_shortened_only_where_the_dialect_has_it():
    values = Array([1] + [0] * 20 + [2, 2])
    assert render_parameter("X", values, rle=True) == "##$X=( 23 )\n1 @20*(0) 2 2"
    assert "@" not in render_parameter("X", values, rle=False)


def test_a_run_inside_a_struct():
    assert "(0, @24*(0))" in render_parameter("X", Array([(0, [0] * 24)]), rle=True)


@given(st.text(alphabet="ab <(,#$", max_size=400))
def test_deleting_the_newlines_restores_the_text(text):
    lines = wrap(text).split("\n")
    assert "".join(lines) == text
    assert all(len(line) <= 79 for line in lines)
    assert not any(line.startswith(("##", "$$")) for line in lines[1:])


def test_a_break_keeps_its_blank():
    lines = wrap(" ".join(["0.0092302962756378"] * 9)).split("\n")
    assert len(lines) == 3
    assert all(line.endswith(" ") for line in lines[:-1])


def test_file_frame_and_visibility_comments():
    text = render_file(PLAIN, [("A", 1), ("B", 2), ("C", 3)])
    assert text.startswith("##TITLE=Parameter List\n##JCAMPDX=4.24\n")
    assert "##$B=2\n$$ @vis= A B\n##$C=3\n$$ @vis= C\n##END=\n" in text


def test_the_foot_follows_the_end():
    foot = Envelope("T", (), "File finished by PARX at noon", rle=True, vis_every=0)
    text = render_file(foot, [("A", 1)])
    assert text.endswith("##END=\n$$ File finished by PARX at noon\n")
