"""The reference reader of the format's makers takes our streamed SOG apart as it was put together."""

import numpy as np
import pytest

from spaceport_compressor.lod import write as lod_write
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_compressor.lod.format import LOD_META_FILE
from spaceport_compressor.lod.write import write_lod
from spaceport_compressor.sog.precision import FULL
from spaceport_render.ply import read_ply


def no_progress(fraction, message="", **metrics):
    pass


@pytest.mark.parametrize("degree", [0, 3])
def test_the_reference_reader_finds_every_level(
    make_gaussians, splat_transform, tmp_path, monkeypatch, degree
):
    # Given a model in levels of detail, in several files and chunks
    monkeypatch.setattr(lod_write, "FILE", 1000)
    monkeypatch.setattr(lod_write, "CHUNK_LEAST", 200)
    levels = levels_of_detail(make_gaussians(3001, degree=degree), [])
    told = write_lod(tmp_path / "lod", levels, [], 60.0, FULL, seed=0, progress=no_progress)
    assert told.files > len(levels)
    for number, level in enumerate(levels):
        # When the reader turns one level of it into a PLY
        ply = tmp_path / f"{number}.ply"
        splat_transform("--select-lod", number, tmp_path / "lod" / LOD_META_FILE, ply)
        # Then it is that level, as exactly as a SOG holds it
        read = read_ply(ply)
        assert len(read) == len(level) == told.gaussians[number]
        assert read.sh_degree == degree
        nearest = np.linalg.norm(level.means[:, None] - read.means[None], axis=2).min(axis=1)
        assert nearest.max() < 0.01
        assert np.sort(read.opacities) == pytest.approx(np.sort(level.opacities), abs=0.01)
        assert read.sh[:, 0].mean(axis=0) == pytest.approx(level.sh[:, 0].mean(axis=0), abs=0.01)
