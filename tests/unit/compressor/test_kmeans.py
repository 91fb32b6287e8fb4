import numpy as np
import pytest
from scipy.spatial.distance import cdist

from spaceport_compressor.sog.kmeans import build_palette

DIMENSIONS = 45  # three bands of harmonics


def clustered(clusters, members, noise, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (clusters, DIMENSIONS))
    vectors = np.repeat(centres, members, axis=0) + rng.normal(0, noise, (clusters * members, DIMENSIONS))
    return rng.permutation(vectors).astype(np.float32)


def spread(vectors, palette):
    """Root mean square distance to the palette, a coordinate."""
    return float(np.sqrt(((vectors - palette.entries[palette.labels]) ** 2).mean()))


def test_it_finds_the_clusters_that_are_there():
    # Given 50 clusters far apart, each with a spread of 0.05
    vectors = clustered(50, 200, noise=0.05)
    # When the palette has room for more than those
    palette = build_palette(vectors, 256)
    # Then what is left is the clusters' own spread
    assert spread(vectors, palette) < 0.052


def test_it_beats_a_palette_of_random_members():
    vectors = clustered(3000, 4, noise=0.3)
    palette = build_palette(vectors, 512)
    chosen = vectors[np.random.default_rng(5).choice(len(vectors), 512, replace=False)]
    assert spread(vectors, palette) < 0.9 * cdist(vectors, chosen).min(axis=1).mean() / DIMENSIONS**0.5


def test_more_entries_leave_less_error():
    vectors = clustered(2000, 5, noise=0.3)
    errors = [spread(vectors, build_palette(vectors, size)) for size in (16, 128, 1024)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_the_palette_is_no_larger_than_asked_and_every_entry_is_used(size):
    vectors = clustered(100, 10, noise=0.3)
    palette = build_palette(vectors, size)
    assert 1 <= len(palette.entries) <= size
    assert set(palette.labels) == set(range(len(palette.entries)))


def test_a_palette_with_room_for_all_is_exact_and_holds_nothing_twice():
    vectors = np.repeat(clustered(5, 2, noise=0.1), 3, axis=0)
    palette = build_palette(vectors, 64)
    assert len(palette.entries) == 10
    assert np.array_equal(palette.entries[palette.labels], vectors)


def test_many_equal_vectors_need_one_entry():
    palette = build_palette(np.ones((500, DIMENSIONS), np.float32), 64)
    assert len(palette.entries) == 1


def test_a_seed_gives_the_same_palette_again():
    vectors = clustered(500, 8, noise=0.3)
    once, again, other = (build_palette(vectors, 128, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(once.entries, again.entries)
    assert np.array_equal(once.labels, again.labels)
    assert not np.array_equal(once.labels, other.labels)


def test_heavy_vectors_are_kept_better():
    # Given vectors of which the first hundred count a thousand times as much
    vectors = np.random.default_rng(1).normal(size=(2000, DIMENSIONS)).astype(np.float32)
    weights = np.where(np.arange(2000) < 100, 1000, 1).astype(np.float32)
    # When the palette has too few entries for all
    palette = build_palette(vectors, 128, weights)
    # Then it is theirs
    errors = ((vectors - palette.entries[palette.labels]) ** 2).mean(axis=1)
    assert errors[:100].mean() < 0.5 * errors[100:].mean()
