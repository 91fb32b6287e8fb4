import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from threadpoolctl import ThreadpoolController

from spaceport_compressor.sog import kmeans, nearest
from spaceport_compressor.sog.kmeans import build_palette
from spaceport_compressor.sog.nearest import CpuSearch

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


def test_neighbouring_cells_share_their_entries():
    # Given vectors without clusters, where two levels cut at borders that are nowhere in the data
    vectors = np.random.default_rng(2).normal(size=(4000, 4)).astype(np.float32)
    # When a palette is built
    palette = build_palette(vectors, 200)
    # Then nearly all vectors have the nearest of all entries
    nearest = cdist(vectors, palette.entries).argmin(axis=1)
    assert (palette.labels == nearest).mean() > 0.97


@pytest.mark.parametrize("dimensions", [1, 9, 24, 45])
def test_the_search_finds_what_a_plain_one_finds(dimensions):
    # Given vectors and entries of every degree of harmonics, and numbers that no loop divides
    rng = np.random.default_rng(dimensions)
    vectors = rng.normal(size=(301, dimensions)).astype(np.float32)
    entries = rng.normal(size=(37, dimensions)).astype(np.float32)
    members = rng.permutation(301)[:133]
    # When
    labels, errors = CpuSearch(vectors[members]).nearest(entries)
    # Then
    distances = cdist(vectors[members], entries, "sqeuclidean")
    assert errors == pytest.approx(distances.min(axis=1), rel=1e-4, abs=1e-6)
    assert distances[np.arange(133), labels] == pytest.approx(distances.min(axis=1), rel=1e-4, abs=1e-6)


def test_searches_at_once_keep_blas_to_one_thread_and_leave_it_as_it_was(monkeypatch):
    # Given BLAS, which is asked for its threads when a core begins its blocks and when it ends
    blas = ThreadpoolController().select(user_api="blas")
    before, found = blas.info(), set()
    fill_least = nearest._fill_least

    def watched(*arguments):
        found.update(library["num_threads"] for library in blas.info())
        fill_least(*arguments)
        time.sleep(0.02)
        found.update(library["num_threads"] for library in blas.info())

    monkeypatch.setattr(nearest, "_fill_least", watched)
    rng = np.random.default_rng(3)
    vectors, entries = (rng.normal(size=(count, 9)).astype(np.float32) for count in (4000, 40))
    # When searches of several sizes are made at once, as for the files of levels of detail
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda count: CpuSearch(vectors[:count]).nearest(entries), (2000, 4000, 600)))
    # Then none has more than its core's own thread, and afterwards there are as many as before
    assert found == {1}
    assert blas.info() == before


def test_the_gpus_search_gives_the_same_palette(monkeypatch):
    # Given the search that runs on a GPU, here by the same code on torch's CPU device
    torch = pytest.importorskip("torch")
    from spaceport_compressor.sog.nearest_torch import TorchSearch

    vectors = clustered(1000, 5, noise=0.3)
    weights = np.random.default_rng(4).uniform(0.1, 1, len(vectors)).astype(np.float32)
    on_cpu = build_palette(vectors, 200, weights)
    # When it takes the place of the CPU's
    monkeypatch.setattr(kmeans, "search_in", lambda vectors: TorchSearch(vectors, torch.device("cpu")))
    by_torch = build_palette(vectors, 200, weights)
    # Then the palette is the same, but for the vectors whose two nearest entries are as near as rounding
    assert len(by_torch.entries) == len(on_cpu.entries)
    same = by_torch.labels == on_cpu.labels
    assert same.mean() > 0.99
    assert by_torch.entries[by_torch.labels[same]] == pytest.approx(
        on_cpu.entries[on_cpu.labels[same]], abs=0.02
    )
    assert spread(vectors, by_torch) == pytest.approx(spread(vectors, on_cpu), rel=1e-4)
