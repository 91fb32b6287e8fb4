"""Codes that cost few bits where little shows, and are exact where much does."""

import warnings

import numpy as np
import pytest

from spaceport_compressor.sog.pack_means import pack_means, unpack_means
from spaceport_compressor.sog.quantisation import Leeway, choose_levels, choose_steps, choose_vectors

LEVELS = np.linspace(-1, 1, 256)


def bits(codes):
    """Of the codes' own frequencies, for each of them."""
    shares = np.bincount(codes.ravel(), minlength=256) / codes.size
    used = shares[shares > 0]
    return -(used * np.log2(used)).sum()


@pytest.fixture
def values():
    return np.random.default_rng(0).uniform(-1, 1, (20_000, 1)).astype(np.float32)


def leeway(values, weights, reach=0.1, price=1e-4):
    full = np.ones(values.shape, np.float32)
    return Leeway(weights * full, np.float32(reach) * full, price)


def test_without_leeway_each_code_is_the_nearest(values):
    codes = choose_levels(values, LEVELS, None)
    assert np.abs(LEVELS[codes] - values).max() <= 1 / 255 + 1e-6
    places = values.astype(np.float64) * 1000 + 1000
    assert np.array_equal(choose_steps(places, 2000, None), np.rint(places))


def test_what_matters_stays_exact_and_what_does_not_gets_cheap(values):
    # Given values of which every second matters much
    weights = np.where(np.arange(len(values)) % 2, 100.0, 0.001)[:, None].astype(np.float32)
    codes = choose_levels(values, LEVELS, leeway(values, weights))
    errors = np.abs(LEVELS[codes] - values)
    # Then these are right to a step, and the others take a few codes only
    assert errors[1::2].max() < 2 / 255
    assert len(np.unique(codes[::2])) < 40
    assert bits(codes) < bits(choose_levels(values, LEVELS, None)) - 1


def test_a_higher_price_saves_bits_and_costs_error(values):
    found = [choose_levels(values, LEVELS, leeway(values, 1.0, price=price)) for price in (1e-6, 1e-5, 1e-4)]
    rates = [bits(codes) for codes in found]
    errors = [((LEVELS[codes] - values) ** 2).mean() for codes in found]
    assert rates == sorted(rates, reverse=True)
    assert errors == sorted(errors)


@pytest.mark.parametrize("reach", [0.001, 0.02, 0.3])
def test_no_error_is_beyond_reach(values, reach):
    codes = choose_levels(values, LEVELS, leeway(values, 1e-9, reach=reach))
    assert np.abs(LEVELS[codes] - values).max() <= max(reach, 1 / 255) + 1e-6


def test_each_centre_stays_within_its_reach():
    # Given centres that show nothing, each with a reach of its own
    rng = np.random.default_rng(3)
    means = rng.normal(0, 40, (5000, 3)).astype(np.float32)
    reach = rng.uniform(0.001, 0.2, (5000, 1)).astype(np.float32).repeat(3, axis=1)
    meta, (low, high) = pack_means(means, Leeway(np.full((5000, 3), 1e-12, np.float32), reach, 1.0))
    # When they are packed
    errors = np.abs(unpack_means(meta, low, high) - means)
    # Then none is farther off than it may, but for the curve of the scale and a step of the format
    steps = (1 + np.abs(means)) * np.subtract(meta.maxs, meta.mins) / 65_535
    assert (errors <= 1.02 * np.maximum(reach, steps / 2) + 1e-4).all()
    # and the low bytes have become few
    assert bits(low[:, 0]) < 6.5


def test_an_axis_along_which_nothing_differs_is_packed_in_silence():
    # Given a flat model, whose centres matter; When it is packed, Then no step of zero length is warned of
    means = np.random.default_rng(3).normal(0, 40, (500, 3)).astype(np.float32) * np.float32([1, 1, 0])
    leeway = Leeway(np.ones((500, 3), np.float32), np.full((500, 3), 0.1, np.float32), 1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta, (low, high) = pack_means(means, leeway)
    assert unpack_means(meta, low, high)[:, 2].tolist() == [0] * 500


def test_high_bytes_stay_as_they_are():
    places = np.random.default_rng(1).uniform(0, 65_535, (5000, 3))
    wide = Leeway(np.full(places.shape, 1e-9, np.float32), np.full(places.shape, 100, np.float32), 1.0)
    assert np.array_equal(choose_steps(places, 65_535, wide) // 256, np.rint(places) // 256)


def test_colours_alike_in_all_channels_cost_one_channel():
    # Given greys with a little noise, which matter little
    rng = np.random.default_rng(2)
    grey = (rng.uniform(-0.9, 0.9, (20_000, 1)) + rng.normal(0, 0.02, (20_000, 3))).astype(np.float32)
    room = Leeway(np.full(grey.shape, 0.02, np.float32), np.full(grey.shape, 0.1, np.float32), 1e-5)
    # When red and blue are told from green
    codes = choose_levels(grey, LEVELS, room, first=1).astype(int)
    apart = choose_levels(grey, LEVELS, room).astype(int)
    # Then their differences take fewer bits than those of codes chosen one by one
    assert bits((codes[:, 0] - codes[:, 1]) % 256) < bits((apart[:, 0] - apart[:, 1]) % 256) - 0.25
    assert np.abs(LEVELS[codes] - grey).max() <= 0.1 + 1e-6


def test_only_who_shows_little_changes_to_a_frequent_entry():
    # Given a palette of which the first entries are taken most, and vectors near to what they have
    rng = np.random.default_rng(4)
    entries = rng.normal(0, 1, (1000, 9)).astype(np.float32)
    own = np.minimum(rng.exponential(100, 20_000).astype(np.intp), 999)
    vectors = entries[own] + rng.normal(0, 0.05, (20_000, 9)).astype(np.float32)
    weights = np.where(np.arange(20_000) % 2, 1.0, 1e-9).astype(np.float32)
    chosen = choose_vectors(vectors, entries, own, weights, price=1e-4)
    # Then who matters keeps its own, and the others cost less
    assert np.array_equal(chosen[1::2], own[1::2])
    assert (chosen[::2] < 256).all()
    assert bits(chosen[::2] % 256) < bits(own[::2] % 256) - 2
    # and without a price nobody changes
    assert np.array_equal(choose_vectors(entries[own], entries, own, weights, price=0.0), own)


def test_numbers_that_do_not_vary_are_kept(values):
    one = np.full((100, 1), 0.3, np.float32)
    assert (choose_levels(one, np.array([0.3]), leeway(one, 1.0)) == 0).all()
