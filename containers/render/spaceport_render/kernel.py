"""How the rasterizer's Numba kernels are compiled, and where the compiled code is kept.

Numba keeps compiled code in `__pycache__` beside the source, and compiles anew when the source or the
CPU is another. Where that folder is not writable it takes the user's cache folder (`~/.cache/numba`);
where that is not writable either, we give it a private folder among the temporary files, and if even
that fails each process compiles for itself. `NUMBA_CACHE_DIR` names one folder instead; where it can only
be read, as in a container whose image holds it, the private folder starts as its copy, because Numba
reads no folder that it can't write.

Numba looks for changes in one file only: the one a kernel stands in. So a kernel calls nothing
compiled, and freezes no constant, of another file; what it needs from there is passed in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# Sums may be reordered and multiplications fused, which vectorised loops need. Unlike `fastmath=True`
# this lets NaN and infinity be what they are, so that tests for them are not compiled away.
REORDERED = frozenset({"contract", "reassoc", "nsz", "arcp", "afn"})


def kernel(fast: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles the decorated function on first use, for each set of argument types, and keeps the code.

    It runs without the GIL. Division by zero gives infinity, as in NumPy.

    Args:
        fast: let the compiler reorder sums; results then depend on the CPU's vector width.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": set(REORDERED) if fast else False,
    }

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": none of Numba's folders is writable
            folder = _private_folder()
            if folder is None:
                return numba.njit(**options)(function)
            _copy_kernels(numba.config.CACHE_DIR, folder)
            numba.config.CACHE_DIR = str(folder)
            return numba.njit(cache=True, **options)(function)

    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a small function as a part of the kernels of the same file that call it.

    Its loops are compiled for what each caller knows of the arrays: left to choose, LLVM may make one
    function for all callers, whose loops are not vectorised.
    """
    return numba.njit(error_model="numpy", fastmath=set(REORDERED), forceinline=True)(function)


def _copy_kernels(shipped: str, folder: Path) -> None:
    """What is missing is only compiled anew."""
    if not shipped or any(folder.iterdir()):
        return
    with contextlib.suppress(OSError):
        # Files alone: the folders' permissions are to stay ours.
        for file in Path(shipped).glob("*/*"):
            target = folder / file.relative_to(shipped)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(file, target)


def _private_folder() -> Path | None:
    """A folder that only this user can write: compiled code that is loaded from it is run."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"spaceport-kernels-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and found.st_mode & 0o077 == 0
    return folder if private and os.access(folder, os.W_OK) else None
