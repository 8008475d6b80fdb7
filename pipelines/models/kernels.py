"""How kernels are compiled: once, cached on disk, and parallel where they loop over voxels.

The arithmetic may be reordered and fused, but NaN and infinity keep their meaning.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba
import platformdirs

from xnat_pic.machine import processors

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


def _writable(folder: Path) -> bool:
    """Tell whether files can be kept in a folder and those in it; it is made where it is missing.

    What another user has compiled may be closed to this one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            inner = [one for one in folder.iterdir() if one.is_dir()]
        files = [file for one in inner for file in one.iterdir()]
    except OSError:
        return False
    return all(os.access(one, os.R_OK | os.W_OK | os.X_OK) for one in inner) and all(
        os.access(one, os.R_OK) for one in files
    )


def _copy(folder: Path) -> Path:
    """Return a copy of a cache that is there and cannot be written; the folder where none can be.

    The compiler reads no cache that it cannot write, such as that of an image whose file system is
    read-only.
    """
    target = None
    try:
        if next(folder.iterdir(), None) is not None:
            target = Path(tempfile.mkdtemp(prefix="xnat-pic-kernels-"))
            atexit.register(shutil.rmtree, target, ignore_errors=True)
            shutil.copytree(folder, target, dirs_exist_ok=True)
            return target
    except OSError:
        if target is not None:
            shutil.rmtree(target, ignore_errors=True)
    return folder


_settings = vars(numba.config)
if not _settings["CACHE_DIR"]:
    _folder = Path(platformdirs.user_cache_dir("xnat-pic", appauthor=False)) / "kernels"
    _settings["CACHE_DIR"] = str(_folder / _sources())
if not _writable(Path(_settings["CACHE_DIR"])):
    _settings["CACHE_DIR"] = str(_copy(Path(_settings["CACHE_DIR"])))
# The account of a server may have no home: its kernels are compiled in every run then.
CACHED = _writable(Path(_settings["CACHE_DIR"]))
# The compiler counts the processors of the host, and not what a container may use of them.
if "NUMBA_NUM_THREADS" not in os.environ:
    _settings["NUMBA_NUM_THREADS"] = min(_settings["NUMBA_NUM_THREADS"], processors())


def compiled(function: Function) -> Function:
    """Compile a piece that kernels call."""
    kernel = numba.njit(cache=CACHED, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)


def parallel(function: Function) -> Function:
    """Compile a kernel whose outer `prange` is shared among the cores."""
    kernel = numba.njit(cache=CACHED, parallel=True, fastmath=_MATHS, error_model="numpy")(function)
    return cast(Function, kernel)
