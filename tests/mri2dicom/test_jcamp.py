"""The parser of parameter files: round trips, every way of writing a value, and bad input."""

import contextlib
import math
import os
import re
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mri2dicom.readers.paravision.jcamp import parse, read_parameters
from xnat_pic.errors import CorruptDataError


class Word(str):
    """A bare word."""


def string(text: str) -> str:
    for sign in "\\<>":
        text = text.replace(sign, "\\" + sign)
    return "<" + text.replace("\n", "\\\n") + ">"


def item(value) -> str:
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(item(part) for part in value) + ")"
    if isinstance(value, list):
        return " ".join(runs([item(part) for part in value]))
    return repr(value)


def runs(words: list[str]) -> list[str]:
    """Write three equal neighbours or more as a run."""
    result: list[str] = []
    while words:
        count = next((n for n, word in enumerate(words) if word != words[0]), len(words))
        result += [f"@{count}*({words[0]})"] if count > 2 else words[:count]
        words = words[count:]
    return result


def wrap(text: str, width: int) -> str:
    """Break lines after blanks, which stay; never before what looks like a new record."""
    lines, line = [], ""
    for part in re.findall(r"[^ ]* ?", text):
        if line.endswith(" ") and len(line) + len(part) > width and part[:2] not in ("##", "$$"):
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])


def record(name: str, value, width: int = 80) -> str:
    """Write a parameter; a list is sized, anything else scalar, an `Enum` has a display name."""
    if isinstance(value, list):
        size = f"( {len(value)}, 65 )" if value and type(value[0]) is str else f"( {len(value)} )"
        return f"##${name}={size}\n{wrap(item(value), width)}"
    if type(value) is str:
        return f"##${name}=( 65 )\n{wrap(string(value), width)}"
    return f"##${name}={wrap(item(value), width)}"


def file(*records: str) -> str:
    return "\n".join(["##TITLE=Parameter List", "##OWNER=nobody", *records, "##END=", ""])


def value_of(text: str, name: str = "A"):
    return parse(text.encode()).items(name)


def one(body: str):
    return value_of(file(f"##$A={body}"))


def alike(left, right) -> bool:
    """Tell whether two values are equal and of the same kinds."""
    if isinstance(left, (list, tuple)):
        same = isinstance(right, list) == isinstance(left, list)
        return same and len(left) == len(right) and all(map(alike, left, right))
    return isinstance(left, str) == isinstance(right, str) and (
        type(left) is type(right) or isinstance(left, str)
    ) and left == right  # fmt: skip


ints = st.integers(-(10**16), 10**16)
floats = st.floats(allow_nan=False, allow_infinity=False)
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).map(Word)
texts = (
    st.text(
        st.one_of(
            st.sampled_from("<>(),=@;\\ *\n#$"),
            st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]),
        ),
        max_size=120,
    )
    .map(str)
    .filter(lambda text: not re.search(r"\n(##|\$\$)", text))
)
atoms = st.one_of(ints, floats, words, texts)
arrays = st.one_of(*(st.lists(kind, min_size=2, max_size=9) for kind in (ints, floats, texts)))
repeated = st.builds(
    lambda value, count: [value] * count, st.one_of(ints, texts), st.integers(2, 9)
)
fields = st.recursive(
    st.one_of(atoms, arrays, repeated),
    lambda inner: st.lists(inner, min_size=2, max_size=4).map(tuple),
    max_leaves=12,
)
structs = st.lists(fields, min_size=2, max_size=6).map(tuple)
values = st.one_of(
    atoms,
    structs,
    repeated,
    *(st.lists(kind, min_size=1, max_size=12) for kind in (ints, floats, words, texts, structs)),
    st.builds(lambda value, count: [value] * count, structs, st.integers(1, 6)),
)
comments = st.sampled_from(["", "$$ @vis= A B ( 3 ) <", "$$ 2024-01-01 ##$X=1"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(values, comments), min_size=1, max_size=5),
    st.integers(20, 80),
    st.booleans(),
)
def test_what_is_written_is_read(entries, width, windows):
    parts = []
    for number, (value, comment) in enumerate(entries):
        parts += [record(f"P{number}", value, width), *([comment] if comment else [])]
    text = file(*parts)
    parameters = parse((text.replace("\n", "\r\n") if windows else text).encode())
    assert parameters.complete
    assert list(parameters) == [f"P{number}" for number in range(len(entries))]
    for number, (value, _) in enumerate(entries):
        expected = value if isinstance(value, list) else [value]
        assert alike(parameters.items(f"P{number}"), expected), parameters.records[f"P{number}"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("3", [3]),
        ("1.227e-05", [1.227e-05]),
        ("-.5", [-0.5]),
        ("Yes", ["Yes"]),
        ("( 65 )\n<2.16.7>", ["2.16.7"]),
        ("( 65 )\n<>", [""]),
        ("( 2 )\n256 128", [256, 128]),
        ("( 1 )\nMAGNITUDE_IMAGE", ["MAGNITUDE_IMAGE"]),
        ("MAGNITUDE_IMAGE", ["MAGNITUDE_IMAGE"]),
        ("( 2, 3 )\n1 2 3 4 5 6", [1, 2, 3, 4, 5, 6]),
        ("( 2, 65 )\n<a b> <c>", ["a b", "c"]),
        ("(0, 3)", [(0, 3)]),
        ("(1755158659, 614, 120)", [(1755158659, 614, 120)]),
        (
            "( 2 )\n(5, <FG_SLICE>, <>, 0, 2) (35, <FG_DIFFUSION>, <diffusion>, 2, 3)",
            [(5, "FG_SLICE", "", 0, 2), (35, "FG_DIFFUSION", "diffusion", 2, 3)],
        ),
        ("(<MRI_Default>, <MRI Default>)", [("MRI_Default", "MRI Default")]),
        ("( <a> , <b> )", [("a", "b")]),
        ("( 3 )\n@2*(-1000) 0", [-1000, -1000, 0]),
        ("( 4 )\n@2*(-1000) 0 1e3", [-1000, -1000, 0, 1000.0]),
        ("( 4 )\n@2*(1 2)", [1, 2, 1, 2]),
        ("( 3 )\n@3*((2, <x>))", [(2, "x")] * 3),
        ("( 2 )\n(1, 0 100 @3*(0), <a>) (2, 7, <>)", [(1, [0, 100, 0, 0, 0], "a"), (2, 7, "")]),
        ("( 2, 65 )\n@2*(<q>)", ["q", "q"]),
        ("( 4 )\n@2*(@2*(5))", [5, 5, 5, 5]),
        ("( 65 )\n<a \nb>", ["a b"]),
        ("( 65 )\n<a\\\nb>", ["a\nb"]),
        ("( 65 )\n<Q-\\>S \\<x\\>>", ["Q->S <x>"]),
        ("( 65 )\n<ends in \\\\>", ["ends in \\"]),
        ("( 65 )\n<ends a line in \\\\\n then>", ["ends a line in \\ then"]),
        ("(<a, b (c) @2*(x); d=e>, 1)", [("a, b (c) @2*(x); d=e", 1)]),
        ("(1, , 3)", [(1, "", 3)]),
        ("( 0 )\n", []),
    ],
)
def test_each_form_of_value(body, expected):
    assert alike(one(body), expected)


def test_comments_may_stand_between_the_lines_of_a_value():
    text = (
        "##TITLE=x\n$$ host\n##$A=( 3 )\n1 2\n$$ 9 9 ##END=\n3\n$$ @vis= A\n##$B=4\n##END=\n$$ e\n"
    )
    parameters = parse(text.encode())
    assert parameters.items("A") == [1, 2, 3]
    assert parameters.items("B") == [4]
    assert parameters.complete


def test_what_follows_the_end_does_not_count():
    parameters = parse(b"##$A=1\n##END=\n$$ File finished\n##$A=2\n##$B=3\n")
    assert parameters.items("A") == [1]
    assert "B" not in parameters


def test_utf8_else_latin1_and_a_byte_order_mark():
    text = file("##$A=( 65 )\n<σ of T2, χ²>")
    assert value_of(text) == ["σ of T2, χ²"]
    assert parse("\ufeff".encode() + text.encode()).header["TITLE"] == "Parameter List"
    assert parse(file("##$A=( 65 )\n<Köln é>").encode("latin-1")).items("A") == ["Köln é"]


def test_missing_and_empty_are_no_error():
    parameters = parse(file("##$E=", "##$S=( 65 )\n<>").encode())
    assert parameters.items("nothing") == []
    assert parameters.first("nothing", 7) == 7
    assert parameters.number("nothing") is None
    assert parameters.text("nothing", "-") == "-"
    assert parameters.items("E") == []
    assert parameters.items("S") == [""]


def test_the_header_is_kept_apart():
    parameters = parse(file("##$A=1").encode())
    assert parameters.header == {"TITLE": "Parameter List", "OWNER": "nobody"}
    assert list(parameters) == ["A"]


@pytest.mark.parametrize(
    "body",
    [
        "( 3 )\n1 2",
        "( 3 )\n1 2 3 4",
        "( 2, 65 )\n<a> <b> <c>",
        "( 65 )\n",
        "( 65 )\n<open",
        "(1, 2",
        "(1, 2))",
        "( 3 )\n@2*(1",
        "<a> > b",
        "( 999999999 )\n@999999999*(0)",
        "( 3 )\n@99999999999999999999999999*(0)",
        f"( {'9' * 6000} )\n1",
        f"( 3 )\n@{'9' * 6000}*(0)",
        f"( 3 )\n@{'9' * 6000}*((0, 1))",
        "( 3 )\n" + "@15000000*(0) " * 60,
        "( 3 )\n@4000*(@4000*(@4000*(0)))",
        "( 3 )\n@9000000*((0, 1)) @9000000*((0, 1)) @9000000*((0, 1))",
        "(" * 40 + ")" * 40,
    ],
)
def test_what_does_not_add_up_is_an_error_and_no_trap(body):
    parameters = parse(file("##$A=" + body, "##$B=5").encode())
    with pytest.raises(CorruptDataError, match="Parameter A"):
        parameters.items("A")
    assert parameters.items("B") == [5]


@pytest.mark.parametrize(
    "body",
    [
        "@101*(0)",
        "@60*(0) @60*(0)",
        "@101*((0, 1))",
        "@60*((0, 1)) @60*((0, 1))",
        "@11*(@11*(0))",
        "(1, @60*(0), @60*(0))",
    ],
)
def test_runs_are_bounded_before_they_are_expanded(monkeypatch, body):
    monkeypatch.setattr("mri2dicom.readers.paravision.jcamp.MAX_ITEMS", 100)
    with pytest.raises(CorruptDataError, match=r"too long|too many"):
        one("( 3 )\n" + body)


def test_brackets_may_be_nested_31_deep_and_no_more():
    assert one("(" * 31 + "7" + ")" * 31) != []
    with pytest.raises(CorruptDataError, match="nested too deep"):
        one("(" * 32 + "7" + ")" * 32)


def test_a_run_may_hold_twenty_million_values_and_no_more():
    assert len(one("@20000000*(0)")) == 20_000_000
    with pytest.raises(CorruptDataError, match="too long"):
        one("@20000001*(0)")
    with pytest.raises(CorruptDataError, match="too long"):
        one("@20000001*((0, 1))")


@contextlib.contextmanager
def ended_after(processor_s: float) -> Iterator[None]:
    """Raise TimeoutError in work whose time grows with the square of its input.

    What counts is the processor's time of this process: a busy machine takes no longer.
    """

    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError(f"not done after {processor_s} s of the processor")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, processor_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_work_without_end_is_ended():
    """In bytecode alone: a loop inside one C function does not look at signals."""
    with pytest.raises(TimeoutError, match="not done"), ended_after(processor_s=0.01):
        for _ in range(10**9):
            pass


@pytest.mark.parametrize(
    "sign", ["\\", "(", ")", "<", ">", "@", ",", "@1*(", "\\<", " ", "\n", "0 "]
)
@pytest.mark.parametrize("lead", ["", "( 65 )\n<", "("])
def test_a_megabyte_of_one_sign_is_parsed_in_linear_time(sign, lead):
    text = file("##$A=" + lead + sign * (2**20 // len(sign)))
    with ended_after(processor_s=15), contextlib.suppress(CorruptDataError):
        parse(text.encode()).items("A")


def test_long_numbers_stay_numbers():
    assert one("1" * 30) == [float("1" * 30)]
    assert one("1" * 5000) == [math.inf]
    assert one("123456789012345678") == [123456789012345678]


SMALL = file(
    "$$ /path",
    "##$VisuVersion=3",
    "##$VisuUid=( 65 )\n<2.16.756.5>",
    "##$VisuCoreSize=( 2 )\n256 128",
    "##$VisuFGOrderDesc=( 2 )\n(5, <FG_SLICE>, <>, 0, 2) (35, <FG_DIFF>, \n<d \\> σ>, 2, 3)",
    "##$Slope=( 9 )\n1.5 @7*(2.25e-12) -3",
    "##$Shapes=( 2 )\n(<..>, 65.3, 0 100 @3*(0)) (<>, 1, 2)",
    "##$Enum=( <a> , <b c> )",
).encode()


def test_a_file_cut_at_any_byte_gives_values_or_an_error():
    whole = parse(SMALL)
    for name in whole:
        assert whole.items(name), name
    for length in range(len(SMALL)):
        parameters = parse(SMALL[:length])
        assert parameters.complete == (b"##END=" in SMALL[:length])
        names = list(parameters)
        for position, name in enumerate(names):
            try:
                items = parameters.items(name)
            except CorruptDataError:
                assert position == len(names) - 1, "only the last parameter is cut"
                continue
            if position < len(names) - 1:
                assert items == whole.items(name)


@given(st.binary(max_size=400))
def test_any_bytes_give_values_or_an_error(data):
    parameters = parse(b"##$A=" + data)
    for name in parameters:
        try:
            parameters.items(name)
            parameters.numbers(name)
        except CorruptDataError:
            continue


@given(st.text("()<>@*\\,0123 \n#$=ab.", max_size=80))
def test_any_signs_of_the_grammar_give_values_or_an_error(text):
    try:
        items = one(text)
    except CorruptDataError:
        return
    assert isinstance(items, list)


@pytest.mark.parametrize(("size", "refused"), [(256 * 2**20, False), (256 * 2**20 + 1, True)])
def test_a_parameter_file_has_256_mib_at_most(tmp_path, size, refused):
    path = tmp_path / "method"
    path.write_bytes(SMALL)
    os.truncate(path, size)  # with a hole: it takes no room
    if refused:
        with pytest.raises(CorruptDataError, match="too large"):
            read_parameters(path)
    else:
        assert read_parameters(path).path == path


def test_a_damaged_value_names_file_and_parameter(tmp_path):
    path = tmp_path / "method"
    path.write_text(file("##$PVM_X=( 3 )\n1 2", "##$PVM_Y=( 2 )\na b"), encoding="utf-8")
    parameters = read_parameters(path)
    with pytest.raises(CorruptDataError, match=r"PVM_X.*method.*2 values instead of the 3"):
        parameters.items("PVM_X")
    with pytest.raises(CorruptDataError, match="PVM_Y"):
        parameters.numbers("PVM_Y")


# Lists of dates: ParaVision 360 gives their number only, without a longest length.
DATES = {"AdjScanStateTime", "AdjStudyStateTime"}


def test_every_sized_value_of_real_files_has_its_declared_number(shared_data):
    sized = announced = 0
    for path in sorted((shared_data / "paravision").rglob("*")):
        if not path.is_file() or path.read_bytes()[:8] != b"##TITLE=":
            continue
        parameters = read_parameters(path)
        for name, entry in parameters.records.items():
            items = parameters.items(name)
            if not entry.dims:
                continue
            dims = entry.dims
            if entry.text.lstrip().startswith("<") and (name not in DATES or len(dims) > 1):
                assert all(len(text.encode()) < dims[-1] for text in items), (path.name, name)
                dims = dims[:-1]
            assert len(items) == math.prod(dims), (path.name, name)
            sized += 1
        text = path.read_text(encoding="utf-8", errors="replace").partition("\n##END=")[0]
        announced += len(re.findall(r"^##\$\w+=\( [\d, ]+ \)", text, re.MULTILINE))
    assert sized == announced == 3854
