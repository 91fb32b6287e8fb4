import dataclasses

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_render.seed_file import DenseSeeds, read_seed_file, write_seed_file

PHOTOS = ("a.jpg", "b.jpg", "ü.jpg", "d.jpg")
TELLERS = [[0, 1, 2], [1, 2], [0, 3], [3]]


@pytest.fixture
def seeds() -> DenseSeeds:
    """Four seeds: two in the first voxel, one each in the next two."""
    return DenseSeeds(
        points=np.float32([[0.2, 0.2, 0], [0.7, 0.1, 0], [-0.5, 0, 0], [3.5, 0, 2]]),
        colors=np.arange(12, dtype=np.uint8).reshape(4, 3),
        confidence=np.float32([0.3, 0.9, 0.5, 0.7]),
        photos=PHOTOS,
        starts=np.array([0, 3, 5, 7, 8]),
        tellers=np.concatenate(TELLERS).astype(np.int32),
        spacing=1.0,
    )


def tellers_of(seeds):
    return [seeds.tellers[a:b].tolist() for a, b in zip(seeds.starts[:-1], seeds.starts[1:], strict=True)]


def test_what_is_written_is_read_again(seeds, tmp_path):
    write_seed_file(tmp_path / "seeds.npz", seeds)
    write_seed_file(tmp_path / "again.npz", seeds)

    found = read_seed_file(tmp_path / "seeds.npz")

    for field in dataclasses.fields(DenseSeeds):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(seeds, field.name))
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "seeds.npz").read_bytes()


def test_no_seeds_are_a_file_too(seeds, tmp_path):
    write_seed_file(tmp_path / "seeds.npz", seeds.told_by(()))

    assert len(read_seed_file(tmp_path / "seeds.npz")) == 0
    assert len(read_seed_file(tmp_path / "seeds.npz").spread(10)) == 0


def test_a_scene_without_the_file_has_none(tmp_path):
    assert read_seed_file(tmp_path / "seeds.npz") is None


@pytest.mark.parametrize("content", [b"", b"no archive", "half"])
def test_a_torn_file_is_told(seeds, tmp_path, content):
    file = tmp_path / "seeds.npz"
    if content == "half":
        write_seed_file(file, seeds)
        content = file.read_bytes()[:-200]
    file.write_bytes(content)

    with pytest.raises(UserError, match=r"seeds\.npz") as caught:
        read_seed_file(file)

    assert caught.value.code == "bad_scene"


def test_seeds_that_another_photo_had_a_say_in_are_left_out(seeds):
    kept = seeds.told_by({"a.jpg", "b.jpg", "ü.jpg"})

    assert tellers_of(kept) == TELLERS[:2]
    np.testing.assert_array_equal(kept.points, seeds.points[:2])
    np.testing.assert_array_equal(kept.colors, seeds.colors[:2])


def test_the_most_confident_of_each_voxel_is_chosen(seeds):
    spread = seeds.spread(100)

    assert tellers_of(spread) == TELLERS[1:]
    assert spread.spacing == 1.0


def test_fewer_are_chosen_from_larger_voxels(seeds):
    count = 2_000
    random = np.random.default_rng(0)
    many = dataclasses.replace(
        seeds,
        points=random.uniform(-9, 9, (count, 3)).astype(np.float32),
        colors=np.zeros((count, 3), np.uint8),
        confidence=random.uniform(0, 1, count).astype(np.float32),
        starts=np.arange(count + 1),
        tellers=np.zeros(count, np.int32),
    )

    spread = many.spread(100)

    assert 50 < len(spread) <= 100
    assert spread.spacing > 1.0
    assert spread.confidence.mean() > 0.9
    assert len(many.spread(0)) == 8
