"""The public face of a package: names that are loaded when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package (PEP 562), so that it imports fast.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : mapping of str to str
        Public name to the module that defines it, relative to the package, such as ``run.convert``
        for a name in ``<package>/run/convert.py``. No name may be that of a module or folder
        directly in the package: it would be hidden.

    Notes
    -----
    ``__version__`` is among the names without being in the mapping.
    """

    def load(name: str) -> Any:
        if name == "__version__":
            from .version import version

            value: Any = version()
        elif name in modules:
            value = getattr(import_module(f".{modules[name]}", package), name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted([*modules, "__version__"])

    return load, names
