"""Sizes of functions, and names of tests. A module over 500 lines is named at the end of a run."""

import ast

FUNCTION_LINES = 50


def _python(paths):
    return [path for path in paths if path.suffix == ".py"]


def _length_without_docstring(function):
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_no_function_is_longer_than_50_lines(committed_files, root, packages):
    long = {}
    for path in _python(committed_files):
        if path.relative_to(root).parts[0] not in packages:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = _length_without_docstring(node)
            if length > FUNCTION_LINES:
                long[f"{path.relative_to(root).as_posix()}:{node.lineno} {node.name}"] = length
    assert long == {}, "split these into steps"


def test_the_length_of_a_function_leaves_the_docstring_out():
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a\n'
    assert _length_without_docstring(ast.parse(source).body[0]) == 3


def test_no_two_test_modules_have_one_name(committed_files):
    """pytest collects only the first of two."""
    names = [path.name for path in committed_files if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
