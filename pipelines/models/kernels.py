"""How kernels are compiled: once, cached on disk, and parallel where they loop over voxels.

The arithmetic may be reordered and fused, but NaN and infinity keep their meaning.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba
import platformdirs

Function = TypeVar("Function", bound=Callable[..., object])

BLOCK = 256  # voxels that one thread takes at a time
_MATHS = {"reassoc", "contract", "arcp", "nsz"}

prange = numba.prange


def _sources() -> str:
    """Return a digest of all kernels' sources.

    The compiler's cache looks at the file of a kernel, and not at those of the kernels it calls:
    a change in one of them would go unseen. So every state of the sources has a cache of its own.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("kernels*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_settings = vars(numba.config)
if not _settings["CACHE_DIR"]:
    _folder = Path(platformdirs.user_cache_dir("xnat-pic", appauthor=False)) / "kernels"
    _settings["CACHE_DIR"] = str(_folder / _sources())


def compiled(function: Function) -> Function:
    """Compile a piece that kernels call."""
    kernel = numba.njit(cache=True, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)


def parallel(function: Function) -> Function:
    """Compile a kernel whose outer `prange` is shared among the cores."""
    kernel = numba.njit(cache=True, parallel=True, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)
