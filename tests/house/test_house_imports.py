"""Imports: no circle, one client, and each package through its front door."""

import ast
from pathlib import Path

import pytest

# What sends, and what would be a second client of XNAT. Benchmarks and packaging are no product.
SENDERS = {"requests", "httpx", "xnat", "pyxnat", "urllib3", "aiohttp"}
CLIENT = "xnat_config/server/"
DECODERS = "private_dictionaries/decoders.py"


def modules_of(root, packages):
    found = {}
    for package in packages:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


def imported_names(name, path):
    """Yield every name that a module imports, wherever the statement stands."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for one in node.names:
                yield f"{base}.{one.name}"


def graph_of(modules):
    """Return which module imports which, local and TYPE_CHECKING imports counted."""
    graph = {}
    for name, path in modules.items():
        found = set()
        for imported in imported_names(name, path):
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules and target != name:
                found.add(target)
        graph[name] = found
    return graph


def circles(graph):
    """Return the strongly connected components of more than one module (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            component = []
            while not component or component[-1] != name:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for name in graph:
        if name not in index:
            visit(name)
    return found


@pytest.fixture(scope="module")
def modules():
    root = Path(__file__).resolve().parents[2]
    names = [path.parent.name for path in root.glob("*/py.typed")]
    return modules_of(root, names)


def test_no_modules_import_each_other_in_a_circle(modules):
    assert len(modules) > 100
    assert circles(graph_of(modules)) == []


def test_a_circle_is_found_whatever_hides_it(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("def f():\n    from .b import g\n")
    (package / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import c\n"
    )
    (package / "c.py").write_text("import p.a\n")
    (package / "d.py").write_text("from . import a\n")
    graph = graph_of(modules_of(tmp_path, ["p"]))
    assert graph["p.d"] == {"p.a"}
    assert circles(graph) == [["p.a", "p.b", "p.c"]]


def test_one_class_sends(modules, root):
    found = [
        f"{path.relative_to(root).as_posix()}: {imported}"
        for name, path in modules.items()
        for imported in imported_names(name, path)
        if imported.split(".")[0] in SENDERS
        and not path.relative_to(root).as_posix().startswith(CLIENT)
    ]
    assert found == [], "send through xnat_config.server.client"


def test_threads_never_lose_their_filters_of_warnings(modules, root):
    found = [
        path.relative_to(root).as_posix()
        for path in modules.values()
        if "catch_warnings(" in path.read_text(encoding="utf-8")
    ]
    assert found == [], "use xnat_pic.warning_filters.ignore_warnings"


def test_every_decoding_names_its_decoder(modules, root):
    """Else pydicom asks GDCM first where it is installed; it ends the program on damaged data."""
    found = []
    for path in modules.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                bad = node.func.id in ("pixel_array", "iter_pixels") and "decoding_plugin" not in {
                    keyword.arg for keyword in node.keywords
                }
            else:
                bad = isinstance(node, ast.Attribute) and node.attr == "pixel_array"
            if bad:
                found.append(f"{path.relative_to(root).as_posix()}:{node.lineno}")
    assert [place for place in found if not place.startswith(DECODERS)] == []


def test_scripts_outside_the_packages_import_what_is_there(modules, root):
    """Benchmarks, pictures and packaging are not type-checked: a moved name would show late."""
    missing = []
    for folder in ("benchmarks", "docs", "packaging"):
        for path in sorted((root / folder).rglob("*.py")):
            for imported in imported_names(path.stem, path):
                package = imported.split(".")[0]
                if package not in {name.split(".")[0] for name in modules}:
                    continue
                module, _, name = imported.rpartition(".")
                if imported not in modules and not defines(modules.get(module), name):
                    missing.append(f"{path.relative_to(root).as_posix()}: {imported}")
    assert missing == []


def defines(path, name):
    """Tell whether a module's text has a name at its top level, in `__all__` or in a lazy table."""
    if path is None:
        return False
    return any(
        (isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name)
        or (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.alias) and (node.asname or node.name) == name)
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
