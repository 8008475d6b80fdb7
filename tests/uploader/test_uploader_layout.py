"""Folder levels become values; what does not fit is said, not guessed."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.scanning.layout import parse_layout
from uploader.scanning.layout_detection import ImageFolder, detect_layout, levels_above
from xnat_config import load_config
from xnat_pic.errors import WrongCallError

VARIABLES = load_config(environ={"XNAT_PIC_HOME": "nowhere"}).variables
PAPER = "group/{group}/timepoint/{timepoint}/{subject}"


def values(pattern, path, patient=""):
    layout = parse_layout(pattern, VARIABLES)
    match = layout.match(path.split("/"), lambda name: bool(patient) and name == patient)
    return match.values, match.problem


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (PAPER, "group/treated/timepoint/pre/m01/study/1", "treated pre m01"),
        (PAPER, "Group/treated/TIMEPOINT/pre/m01", "treated pre m01"),
        (PAPER, "group/treated/m01/study/1", "treated - m01"),
        ("{group}/{timepoint}/{subject}", "treated/post1w/m01/1", "treated post1w m01"),
        ("{subject}_{timepoint}", "m_01_pre/study", "- pre m_01"),
        ("{group}/{subject}-{timepoint}", "treated/m01-post 2w/1", "treated post 2w m01"),
        ("*/{study}/{subject}", "x/20240101/m01/1", "- - m01"),
        ("**/timepoint/{timepoint}", "a/b/timepoint/pre/c", "- pre -"),
        ("data??/{group}/{subject}", "data07/treated/m01", "treated - m01"),
        ("a/{group}/{subject}|b/{subject}", "b/m01", "- - m01"),
        ("", "a/b", "- - -"),
    ],
)
def test_levels(pattern, path, expected):
    found, problem = values(pattern, path)
    assert problem == ""
    names = ("group", "timepoint", "subject")
    assert " ".join(found.get(name, "-") for name in names) == expected


def test_a_branch_without_dose():
    pattern = "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}"
    found, _ = values(pattern, "group/untreated/timepoint/pre/m07/study/1")
    assert found == {"group": "untreated", "timepoint": "pre", "subject": "m07"}


def test_a_shorter_branch_without_names_is_settled_by_the_subject():
    pattern = "{group}/[{dose}/]{timepoint}/{subject}"
    assert values(pattern, "untreated/pre/m07/study/1", "m07")[0] == {
        "group": "untreated", "timepoint": "pre", "subject": "m07"
    }  # fmt: skip
    assert values(pattern, "treated/d1/pre/m07/study/1", "m07")[0]["dose"] == "d1"
    # Without brackets too, because the files name the subject.
    assert values("{group}/{timepoint}/{subject}", "untreated/m07/study/1", "m07")[0] == {
        "group": "untreated", "subject": "m07"
    }  # fmt: skip


def test_what_does_not_fit_is_a_problem():
    found, problem = values(PAPER, "group/treated/dose/d1/timepoint/pre/m01")
    assert found == {}
    assert "does not fit" in problem
    assert "does not fit" in values("fixed/{subject}", "other/m01")[1]
    # A pattern without the levels that announce a value reads nothing, and says so.
    assert "does not fit" in values("{group}/{subject}", "group/treated/timepoint/pre/m01")[1]


def test_two_ways_that_fit_alike_are_a_problem():
    found, problem = values("[{dose}/][{cage}/]{subject}", "a/b")
    assert found == {}
    assert "more than one way" in problem


@pytest.mark.parametrize(
    "pattern",
    ["{Group}/x", "{group}/{group}", "{group", "group}", "[{group}", "{a}]", "[]/{a}", "{files}",
     "x[{a}]", "{}", "{a}{a}", "[[{a}/]]", "{a-b}"],
)  # fmt: skip
def test_patterns_that_mean_nothing(pattern):
    with pytest.raises(WrongCallError, match="not understood"):
        parse_layout(pattern, VARIABLES)


NAMES = st.text(string.ascii_letters + string.digits + " _-.,+&äé日", min_size=1, max_size=12)
NAMES = NAMES.map(str.strip).filter(lambda name: name and not VARIABLES.announced_by(name))
ORDER = st.permutations(["group", "dose", "timepoint"])


@given(order=ORDER, given_values=st.tuples(NAMES, NAMES, NAMES), subject=NAMES, below=NAMES)
def test_alternating_levels_are_read_in_any_order(order, given_values, subject, below):
    pairs = dict(zip(order, given_values, strict=True))
    levels = [part for pair in pairs.items() for part in pair] + [subject, below]
    pattern = "/".join(f"{name}/{{{name}}}" for name in order) + "/{subject}"
    found, problem = values(pattern, "/".join(levels))
    assert problem == ""
    nfc = {name: parse(value) for name, value in {**pairs, "subject": subject}.items()}
    assert found == nfc


def parse(text):
    import unicodedata

    return unicodedata.normalize("NFC", text.strip())


@given(
    order=ORDER,
    animals=st.lists(
        st.tuples(NAMES, st.sets(st.sampled_from(["group", "dose", "timepoint"])), NAMES),
        min_size=1,
        max_size=5,
        unique_by=lambda animal: animal[0],
    ),
)
def test_auto_finds_a_layout_that_reads_every_folder(order, animals):
    folders = []
    for subject, present, value in animals:
        pairs = [part for name in order if name in present for part in (name, value)]
        folders.append(ImageFolder((*pairs, subject, "study", "1_scan"), subject))
    text = detect_layout(folders, VARIABLES, lambda a, b: a == b)
    layout = parse_layout(text, VARIABLES)
    for folder, (subject, present, value) in zip(folders, animals, strict=True):
        match = layout.match(folder.levels, lambda name, s=subject: parse(name) == parse(s))
        expected = {name: parse(value) for name in present} | {"subject": parse(subject)}
        assert match.problem == ""
        assert match.values == expected


def auto(*pairs):
    folders = [ImageFolder(tuple(path.split("/")), patient) for path, patient in pairs]
    return detect_layout(folders, VARIABLES, lambda a, b: a.casefold() == b.casefold())


def test_auto_says_what_it_found():
    assert auto(
        ("group/treated/dose/d1/timepoint/pre/m01/study/1", "m01"),
        ("group/untreated/timepoint/pre/m02/study/1", "m02"),
    ) == "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}"  # fmt: skip
    assert auto(("m01/timepoint/pre/1", "M01")) == "{subject}/timepoint/{timepoint}"
    assert auto(("x/m01/1", "m01"), ("x/m02/1", "m02")) == "*/{subject}"
    assert auto(("a/b", "m01")) == ""
    assert auto(("a/b", "")) == ""


def test_auto_takes_no_study_folder_for_the_subject():
    assert auto(("group/a/20240101_m01_1/3", "m01")) == "group/{group}"


def test_auto_needs_the_subject_in_most_files():
    good = [(f"group/a/m{k}/1", f"m{k}") for k in range(3)]
    assert auto(*good, ("group/a/m9/1", "m8")).endswith("{subject}")
    assert auto(good[0], ("group/a/m9/1", "m8"), ("group/a/m7/1", "m6")) == "group/{group}"


def test_levels_above_the_folder_that_was_picked():
    def above(path):
        return levels_above(Path(path).absolute(), VARIABLES)

    whole = ("group", "treated", "timepoint", "pre")
    assert above("s/group/treated/timepoint/pre/m01") == (*whole, "m01")
    assert above("s/group/treated/timepoint/pre") == whole
    assert above("s/group/treated/timepoint") == ("group", "treated", "timepoint")
    assert above("s/group") == ("group",)
    assert above("s/t/u") == ()
