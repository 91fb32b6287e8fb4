import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import spaceport_render
from spaceport_render import kernel

PACKAGE = Path(spaceport_render.__file__).parent
WITH_KERNELS = ["projection", "spherical_harmonics", "tiles", "compositing", "structural_similarity"]


def test_every_file_with_kernels_is_listed_here():
    found = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if "import kernel" in path.read_text() or "import inlined, kernel" in path.read_text()
    }
    assert found == set(WITH_KERNELS)


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_kernels_use_nothing_of_another_file(name):
    # Numba's cache sees changes of a kernel's own file only: what came from another file would go stale.
    module = importlib.import_module(f"spaceport_render.{name}")
    imported = {
        alias.asname or alias.name
        for statement in ast.parse((PACKAGE / f"{name}.py").read_text()).body
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("spaceport_render")
        for alias in statement.names
    }
    compiled = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    assert compiled
    for function in compiled:
        assert not imported & set(function.py_func.__code__.co_names), function.py_func.__name__


PROGRAM = """
import numpy as np
from spaceport_render.compositing import sum_by_footprint
sums = np.empty((1, 2), np.float32)
sum_by_footprint(0, 1, np.array([0, 2]), np.ones((2, 2), np.float32), sums)
assert (sums == 2).all()
print(sum(sum_by_footprint.stats.cache_hits.values()))
"""


def test_the_cache_works_where_neither_the_package_nor_the_home_can_be_written(tmp_path):
    # Given a package and a home in which no cache folder can be made: a file stands in its place, which
    # stops even root.
    shutil.copytree(PACKAGE, tmp_path / "spaceport_render", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "spaceport_render" / "__pycache__").touch()
    (tmp_path / "home").touch()
    (tmp_path / "temporary").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment |= {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": str(tmp_path),
    }

    def cache_hits() -> int:
        command = [sys.executable, "-c", PROGRAM]
        return int(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        )

    # When the kernel runs in two processes, then the second finds what the first compiled.
    assert cache_hits() == 0
    assert cache_hits() == 1
    (folder,) = (tmp_path / "temporary").glob("spaceport-kernels-*")
    assert folder.stat().st_mode & 0o077 == 0


def test_kernels_of_a_folder_that_can_only_be_read_are_not_compiled_again(tmp_path):
    # Given kernels compiled into an image's folder, by another user
    (tmp_path / "temporary").mkdir()
    shipped = tmp_path / "kernels"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(shipped), "TMPDIR": str(tmp_path / "temporary")}

    def cache_hits(program: str) -> int:
        command = [sys.executable, "-c", program]
        return int(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        )

    assert cache_hits(PROGRAM) == 0
    # When they are used where they can't be written, nor anything beside the package. (Root may write all:
    # so Numba's own trial is made to fail.)
    unwritable = (
        "import numba.core.caching as caching\n"
        "trial = caching._CacheLocator.ensure_cache_path\n"
        "def only_temporary(self):\n"
        f"    if not self.get_cache_path().startswith({str(tmp_path / 'temporary')!r}): raise OSError\n"
        "    trial(self)\n"
        "caching._CacheLocator.ensure_cache_path = only_temporary\n"
    )
    # Then they are found, in a folder of the user's own
    assert cache_hits(unwritable + PROGRAM) == 1
    assert cache_hits(unwritable + PROGRAM) == 1


def test_a_temporary_folder_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = kernel._private_folder()
    assert folder is not None
    folder.chmod(0o777)
    assert kernel._private_folder() is None
