"""Streamed SOG: every Gaussian of every level in exactly one place, where the index says it is."""

import json

import numpy as np
import pytest

from spaceport_compressor.lod import write as lod_write
from spaceport_compressor.lod.chunks import ChunkSize, Cut, chunks_of, cut_into_chunks, one_sigma_reaches
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_compressor.lod.write import write_lod
from spaceport_compressor.sog.archive import write_archive
from spaceport_compressor.sog.pack_means import pack_means
from spaceport_compressor.sog.precision import FULL
from spaceport_compressor.sog.read import read_sog

SMALL = ChunkSize(gaussians=300, extent=40.0, least=60)


def no_progress(fraction, message="", **metrics):
    pass


def leaves_of(node):
    return [node] if "lods" in node else [leaf for child in node["children"] for leaf in leaves_of(child)]


def read_folder(folder):
    """A SOG whose files lie in a folder, by way of the zip that our reader takes."""
    archive = folder.parent / f"{folder.name}.sog"
    write_archive(archive, {file.name: file.read_bytes() for file in folder.iterdir()})
    return read_sog(archive)


@pytest.fixture
def levels(make_gaussians):
    return [make_gaussians(2000), make_gaussians(1000, seed=1), make_gaussians(500, seed=2)]


@pytest.fixture
def streamed(make_gaussians, tmp_path, monkeypatch):
    """A model of 3,000 Gaussians in files of 400, and what was told of it."""
    monkeypatch.setattr(lod_write, "FILE", 400)
    monkeypatch.setattr(lod_write, "CHUNK_LEAST", 100)
    model = make_gaussians(3000)
    levels = levels_of_detail(model, [])
    told = write_lod(tmp_path / "lod", levels, [], 60.0, FULL, seed=0, progress=no_progress)
    return model, tmp_path / "lod", told


class TestChunks:
    def test_each_gaussian_is_in_one_chunk(self, levels):
        chunks = list(chunks_of(cut_into_chunks(levels, SMALL)))
        for number, level in enumerate(levels):
            members = np.concatenate([chunk.members[number] for chunk in chunks])
            assert sorted(members) == list(range(len(level)))

    def test_no_chunk_is_too_full_and_none_that_matters_too_long(self, levels):
        for chunk in chunks_of(cut_into_chunks(levels, SMALL)):
            count = sum(len(members) for members in chunk.members)
            means = np.concatenate([level.means[m] for level, m in zip(levels, chunk.members, strict=True)])
            assert count <= SMALL.gaussians
            assert np.ptp(means, axis=0).max() <= SMALL.extent or count <= SMALL.least

    def test_bounds_hold_their_gaussians_and_their_halves(self, levels):
        def check(tree):
            if isinstance(tree, Cut):
                for half in tree.halves:
                    assert (half.low >= tree.low).all()
                    assert (half.high <= tree.high).all()
                    check(half)
                return
            for level, members in zip(levels, tree.members, strict=True):
                reaches = one_sigma_reaches(level)
                assert (level.means[members] - reaches[members] >= tree.low).all()
                assert (level.means[members] + reaches[members] <= tree.high).all()

        check(cut_into_chunks(levels, SMALL))

    def test_gaussians_in_one_place_stay_together(self, make_gaussians):
        model = make_gaussians(500)
        model.means[:] = 7.0
        assert len(list(chunks_of(cut_into_chunks([model], SMALL)))) == 1

    def test_the_reach_of_a_turned_gaussian_is_its_box(self, make_gaussians):
        model = make_gaussians(1)
        model.log_scales[0] = np.log([3.0, 1.0, 2.0])
        model.quats[0] = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]  # a quarter turn about z
        assert one_sigma_reaches(model)[0] == pytest.approx([1, 3, 2], rel=1e-5)


class TestOrder:
    def test_chunks_stay_whole_and_high_bytes_rise_in_each(self, make_gaussians):
        # Given a file's Gaussians, in three chunks
        means = make_gaussians(3000).means
        chunks = [np.arange(0, 900), np.arange(900, 1000), np.arange(1000, 3000)]
        # When they are put in order
        order = lod_write.order_in_chunks(means, chunks)
        # Then each chunk's rows follow the one before's, by the bytes that the file has of them
        _, (_, high) = pack_means(means[order])
        keys = high[:, :3].astype(int) @ [65_536, 256, 1]
        for members in chunks:
            rows = slice(members[0], members[-1] + 1)
            assert np.array_equal(np.sort(order[rows]), members)
            assert (np.diff(keys[rows]) >= 0).all()


class TestFiles:
    def test_the_index_counts_what_the_files_hold(self, streamed):
        _, folder, told = streamed
        meta = json.loads((folder / "lod-meta.json").read_text())
        assert meta["counts"] == told.gaussians == [3000, 1500, 750, 375]
        assert meta["count"] == sum(told.gaussians)
        assert meta["lodLevels"] == 4
        assert len(meta["filenames"]) == told.files
        leaves = leaves_of(meta["tree"])
        assert len(leaves) == told.chunks > 20
        # Each file's rows are told by its chunks once and without gaps
        rows = {}
        for leaf in leaves:
            for level, place in leaf["lods"].items():
                assert meta["filenames"][place["file"]].startswith(f"{level}_")
                rows.setdefault(place["file"], []).append((place["offset"], place["count"]))
        for file, ranges in rows.items():
            ends = np.cumsum([count for _, count in sorted(ranges)])
            assert [offset for offset, _ in sorted(ranges)] == [0, *ends[:-1]]
            name = meta["filenames"][file]
            assert json.loads((folder / name).read_text())["count"] == ends[-1]
            level, number = name.removesuffix("/meta.json").split("_")
            is_last_of_level = f"{level}_{int(number) + 1}/meta.json" not in meta["filenames"]
            assert is_last_of_level or ends[-1] >= 400
        assert told.bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert told.files == sum(1 for entry in folder.iterdir() if entry.is_dir())

    def test_the_finest_level_is_the_model_each_chunk_where_its_box_says(self, streamed):
        model, folder, _ = streamed
        meta = json.loads((folder / "lod-meta.json").read_text())
        read = {name: read_folder((folder / name).parent) for name in meta["filenames"]}
        found = []
        for leaf in leaves_of(meta["tree"]):
            place = leaf["lods"]["0"]
            whole = read[meta["filenames"][place["file"]]]
            means = whole.means[place["offset"] : place["offset"] + place["count"]]
            assert (means > np.array(leaf["bound"]["min"]) - 0.01).all()
            assert (means < np.array(leaf["bound"]["max"]) + 0.01).all()
            found.append(means)
        found = np.concatenate(found)
        nearest = np.linalg.norm(model.means[:, None] - found[None], axis=2).min(axis=1)
        assert len(found) == 3000
        assert nearest.max() < 0.01

    def test_the_same_model_gives_the_same_bytes_and_leaves_nothing_of_an_earlier_one(
        self, streamed, tmp_path
    ):
        model, folder, _ = streamed
        (folder / "9_9").mkdir()
        (folder / "9_9/meta.json").write_text("of an earlier model")
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        write_lod(folder, levels_of_detail(model, []), [], 60.0, FULL, seed=0, progress=no_progress)
        after = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        del before[folder / "9_9/meta.json"]
        assert after == before
