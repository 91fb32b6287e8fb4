from itertools import combinations

import numpy as np
import pytest

from spaceport_compressor.sog.codebook import LISTED, fit_codebook


def squared_error(values, decoded):
    return float(((values - decoded) ** 2).mean())


def test_it_beats_even_steps_on_values_with_tails():
    # Given values as log scales are: a hump with outliers
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-3, 0.5, 20_000), rng.uniform(-10, 3, 200)])
    # When
    codebook = fit_codebook(values)
    error = squared_error(values, codebook.decode(codebook.encode(values)))
    # Then its error is well below that of 256 even steps over the range
    step = np.ptp(values) / (LISTED - 1)
    even = np.rint((values - values.min()) / step) * step + values.min()
    assert error < squared_error(values, even) / 3


def test_each_value_takes_its_nearest_level():
    values = np.random.default_rng(1).normal(size=5000)
    codebook = fit_codebook(values)
    nearest = np.abs(values[:, None] - codebook.levels).min(axis=1)
    assert np.abs(values - codebook.decode(codebook.encode(values))) == pytest.approx(nearest, abs=1e-6)


def test_the_outermost_values_keep_levels_of_their_own():
    values = np.concatenate([np.zeros(100_000), [-8.0, 9.0]])
    codebook = fit_codebook(values)
    assert codebook.decode(codebook.encode(np.array([-8.0, 0.0, 9.0]))).tolist() == [-8.0, 0.0, 9.0]


@pytest.mark.parametrize("values", [[0.25], [0.25, 0.25], [1.0, 2.0, 3.0]])
def test_a_few_values_are_kept_as_they_are(values):
    codebook = fit_codebook(np.array(values))
    assert len(codebook.listed()) == LISTED
    assert codebook.decode(codebook.encode(np.array(values))).tolist() == values


def test_fewer_levels_are_still_listed_as_256_and_only_they_are_named():
    values = np.random.default_rng(2).normal(size=5000)
    codebook = fit_codebook(values, 40)
    codes = codebook.encode(values)
    assert len(codebook.listed()) == LISTED
    assert codes.max() < 40
    assert squared_error(values, np.array(codebook.listed())[codes]) < 0.01


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_no_other_codebook_is_nearer(count):
    # Given so few values that every way to cut them can be tried
    values = np.sort(np.random.default_rng(count).normal(size=12).round(1))
    ways = combinations(range(1, len(values)), count - 1)
    least = min(sum(((part - part.mean()) ** 2).sum() for part in np.split(values, cuts)) for cuts in ways)
    # When
    codebook = fit_codebook(values, count)
    # Then none has a smaller error; what is left are the digits in the file
    found = squared_error(values, codebook.decode(codebook.encode(values))) * len(values)
    assert found == pytest.approx(least, abs=1e-4)


def test_many_values_are_cut_as_well_as_lloyds_iterations_can_ever():
    # Given more distinct values than borders, in two humps far apart
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 0.1, 30_000), rng.normal(50, 3, 10_000)])
    codebook = fit_codebook(values, 32)
    error = squared_error(values, codebook.decode(codebook.encode(values)))
    # When Lloyd's algorithm goes on from there
    levels = codebook.levels
    for _ in range(50):
        cells = np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
        levels = np.bincount(cells, values) / np.bincount(cells)
    # Then it finds hardly anything to mend
    assert squared_error(values, levels[cells]) > 0.99 * error
