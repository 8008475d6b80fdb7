"""No test asserts how long something took: a busy machine decides that. `benchmarks/` measures."""

import ast

import pytest

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}


def _is_clock(node):
    """Tell whether an expression reads a clock of the module `time`."""
    return isinstance(node, ast.Call) and (
        (isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS)
        or (isinstance(node.func, ast.Name) and node.func.id in CLOCKS)
    )


def _is_elapsed(node, names):
    """Tell whether an expression holds a difference of times, or a name that was given one."""
    return any(
        (isinstance(one, ast.Name) and one.id in names)
        or (
            isinstance(one, ast.BinOp)
            and isinstance(one.op, ast.Sub)
            and any(_is_clock(side) for side in (one.left, one.right))
        )
        for one in ast.walk(node)
    )


def _upper_bounds(compare):
    """Yield what a comparison says must be small: the longer it takes on a busy machine."""
    sides = [compare.left, *compare.comparators]
    for left, operator, right in zip(sides, compare.ops, sides[1:], strict=False):
        if isinstance(operator, ast.Lt | ast.LtE):
            yield left
        elif isinstance(operator, ast.Gt | ast.GtE):
            yield right


def timed_assertions(text):
    """Return the lines that assert an elapsed time to be short.

    A limit after which a loop gives up (`assert monotonic() < deadline`) is none: it only ends
    what would hang. Neither is a least time, which a busy machine makes longer.
    """
    tree = ast.parse(text)
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_elapsed(node.value, names):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        for compare in ast.walk(node.test)
        if isinstance(compare, ast.Compare)
        if any(_is_elapsed(bound, names) for bound in _upper_bounds(compare))
    ]


def test_no_test_asserts_how_long_something_took(root, committed_files):
    found = [
        f"{path.relative_to(root)}:{line}"
        for path in committed_files
        if path.suffix == ".py" and path.relative_to(root).parts[0] == "tests"
        for line in timed_assertions(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "count the work in the test, and measure its time in benchmarks/"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("assert time.monotonic() - begun < 1", True),
        ("assert 1 >= perf_counter() - begun", True),
        ("assert (time.thread_time() - begun) * 1000 < 100, name", True),
        ("took = time.time() - begun\nassert took < 1", True),
        ("assert time.monotonic() - begun >= 0.4", False),
        ("assert time.monotonic() < deadline", False),
        ("assert token.expires_s > time.time() + 3600", False),
        ("assert len(a) - len(b) < 3", False),
    ],
)
def test_an_assertion_of_time_is_recognised(line, found):
    assert bool(timed_assertions(line)) is found


def test_no_test_imports_a_conftest(root, committed_files):
    """Which of them `conftest` names depends on the folders that a call of pytest is given."""
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in committed_files
        if path.suffix == ".py" and path.relative_to(root).parts[0] == "tests"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "conftest"
    ]
    assert found == []
