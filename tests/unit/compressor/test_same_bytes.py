"""The same model and seed give the same file, however many threads there are to write it."""

import os
import subprocess
import sys

import pytest

from spaceport_render.ply import write_ply

PROGRAM = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[3])])
from pathlib import Path
from spaceport_compressor.judging.orbit import orbit_around
from spaceport_compressor.judging.rate_choice import ladder
from spaceport_compressor.sog.write import write_sog
from spaceport_render.ply import read_ply
model = read_ply(Path(sys.argv[1]))
write_sog(Path(sys.argv[2]), model, orbit_around(model, longer_side=64), ladder(len(model))[6], seed=3)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux gives a process fewer cores")
def test_the_bytes_do_not_depend_on_threads(make_gaussians, tmp_path):
    # Given a model large enough for all parts to be cut into ranges
    write_ply(tmp_path / "model.ply", make_gaussians(20_000))
    # When it is written by one core, and by all with another number of threads in the libraries
    files = []
    for cores, threads in ((1, "1"), (64, "3")):
        file = tmp_path / f"{cores}-{threads}.sog"
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "model.ply"), str(file), str(cores)],
            check=True,
            env={**os.environ, **dict.fromkeys(variables, threads)},
        )
        files.append(file.read_bytes())
    # Then the files are the same
    assert files[0] == files[1]
