"""How kernels are compiled: once, cached on disk, and parallel where they loop over voxels.

The arithmetic may be reordered and fused, but NaN and infinity keep their meaning.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

BLOCK = 256  # voxels that one thread takes at a time
_MATHS = {"reassoc", "contract", "arcp", "nsz"}

prange = numba.prange


def compiled(function: Function) -> Function:
    """Compile a piece that kernels call."""
    kernel = numba.njit(cache=True, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)


def parallel(function: Function) -> Function:
    """Compile a kernel whose outer `prange` is shared among the cores."""
    kernel = numba.njit(cache=True, parallel=True, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)
