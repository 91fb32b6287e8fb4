"""Codes chosen for what they cost and what they show: entropy-constrained quantisation.

A lossless image spends few bits on frequent bytes and many on rare ones. So a number that shows little may
take a frequent code somewhat off instead of the nearest: of all codes in reach the one of least
weight · error² + price · bits is taken, where the bits follow from how often each code was taken before
(Chou, Lookabaugh & Gray, "Entropy-constrained vector quantization", 1989; here for scalars). At one price for
all numbers of a model none could give bits to another and both gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.nearest import Rows, least_products
from spaceport_compressor.sog.pieces import pieces
from spaceport_render.kernel import kernel
from spaceport_render.threads import run_over

Floats = NDArray[np.float32]

BYTE = 256
ROUNDS = 3  # codes, their bits, codes again …: a fourth round saves less than 0.5 %
FREQUENT = BYTE  # entries of a palette that a vector may change to: with these the high byte is 0
UNUSED = 0.5  # a code that none took counts as half a time: its bits stay finite
F = np.float32


@dataclass(frozen=True)
class Leeway:
    """How far from the truth codes may be, and what that costs.

    Attributes:
        weights: (N, D), what a squared error of 1 costs.
        reach: (N, D), the largest error allowed; the nearest code always is.
        price: what a bit costs, above 0.
    """

    weights: Floats
    reach: Floats
    price: float

    def repeated(self, times: int) -> Leeway:
        """The same for each of `times` numbers alike, from D = 1."""
        weights, reach = (np.broadcast_to(array, (len(array), times)) for array in (self.weights, self.reach))
        return replace(self, weights=weights, reach=reach)

    def of(self, piece: slice) -> Leeway:
        """That of some of the numbers."""
        return replace(self, weights=self.weights[piece], reach=self.reach[piece])

    def scaled(self, units: NDArray[np.floating]) -> Leeway:
        """The same for numbers counted in `units`, which broadcast to (N, D)."""
        with np.errstate(over="ignore"):  # where numbers do not differ, reach may well be endless
            reach = (self.reach / units).astype(np.float32)
        return replace(self, weights=(self.weights * units**2).astype(np.float32), reach=reach)


def choose_levels(
    values: Floats, levels: NDArray[np.floating], leeway: Leeway | None, first: int | None = None
) -> NDArray[np.uint8]:
    """The index of one of `levels` for each of `values` (N, D), whose columns are images of their own.

    Args:
        levels: (L,) in rising order, L up to 256.
        leeway: None: the nearest level.
        first: the column that the others are told as differences from, as WebP tells red and blue from
            green where colours are much alike; None: each by itself.
    """
    rising = np.ascontiguousarray(levels, np.float32)
    codes = np.empty(values.shape, np.uint8)
    columns = range(values.shape[1])
    for column in columns if first is None else sorted(columns, key=lambda column: column != first):
        told_from = np.zeros(len(values), np.int64)
        if first is not None and column != first:
            told_from += codes[:, first]
        own = _column(values, column)
        chosen = np.searchsorted((rising[1:] + rising[:-1]) / 2, own).astype(np.int64)
        if leeway is not None and len(rising) > 1:
            gaps = np.gradient(rising)[chosen].clip(np.finfo(np.float32).tiny)
            weights, reach = _column(leeway.weights, column), _column(leeway.reach, column)
            coarse = _coarsened(chosen - told_from, weights * gaps**2, reach / gaps, leeway.price)
            chosen = (coarse + told_from).clip(0, len(rising) - 1)
            for _ in range(ROUNDS):
                bits, price = _bits((chosen - told_from) % BYTE), F(leeway.price)
                _run(_choose_level, own, weights, reach, rising, told_from, bits, price, chosen)
        codes[:, column] = chosen
    return codes


def choose_steps(places: NDArray[np.float64], last: int, leeway: Leeway | None) -> NDArray[np.uint16]:
    """A whole number from 0 to `last` for each of `places` (N, D); only their low bytes cost bits.

    The high bytes are alike among neighbours and cost little: they stay as they are.

    Args:
        leeway: in steps; None: the nearest number.
    """
    codes = np.empty(places.shape, np.uint16)
    for column in range(places.shape[1]):
        chosen = np.rint(places[:, column]).clip(0, last).astype(np.int64)
        if leeway is not None:
            own = places[:, column].astype(np.float32)
            weights, reach = _column(leeway.weights, column), _column(leeway.reach, column)
            page = chosen // BYTE * BYTE
            coarse = _coarsened(chosen, weights, reach, leeway.price)
            chosen = coarse.clip(page, np.minimum(page + BYTE - 1, last))
            for _ in range(ROUNDS):
                bits = _bits(chosen % BYTE)
                _run(_choose_step, own, weights, reach, last, bits, F(leeway.price), chosen)
        codes[:, column] = chosen
    return codes


def choose_vectors(
    vectors: Rows, entries: Floats, own: NDArray[np.intp], weights: Floats, price: float
) -> NDArray[np.intp]:
    """For each of `vectors` (N, D) one of the first of `entries` (K, D), or its `own` (N,), as it was.

    The index is told in two bytes.

    Args:
        weights: (N,), what a squared distance of 1 costs.
        price: what a bit costs.
    """
    frequent = entries[:FREQUENT]
    squares = np.einsum("kd,kd->k", frequent, frequent)
    # Over its weight a vector costs |v − e|² + (price/weight) · bits, where |v|² is the same for all entries:
    # what is left are the products of (v, 1, price/weight) with (−2e, |e|², bits).
    rates = price / weights.clip(np.finfo(np.float32).tiny)
    chosen = own
    for _ in range(ROUNDS):
        low, high = _bits(chosen % BYTE), _bits(chosen // BYTE)
        columns = np.vstack([-2 * frequent.T, squares, (low + high[0])[: len(frequent)]])
        told = low[own % BYTE] + high[own // BYTE]
        chosen = own.copy()
        for piece in pieces(len(own)):
            rows = vectors[np.arange(piece.start, piece.stop)]
            kept = ((rows - entries[own[piece]]) ** 2).sum(axis=1) + rates[piece] * told[piece]
            augmented = np.column_stack([rows, np.ones(len(rows), np.float32), rates[piece]])
            best, least = least_products(augmented, columns)
            cheaper = least + np.einsum("nd,nd->n", rows, rows) < kept
            chosen[piece][cheaper] = best[cheaper]
    return chosen


def _run(kernel: Callable[..., None], *arguments: Any) -> None:
    """`kernel` over all rows; the last of `arguments` takes the result."""
    run_over(len(arguments[-1]), kernel, *arguments)


def _column(array: NDArray[np.floating], column: int) -> Floats:
    return np.ascontiguousarray(array[:, column], np.float32)


def _coarsened(codes: NDArray[np.int64], weights: Floats, reach: Floats, price: float) -> NDArray[np.int64]:
    """`codes` rounded to multiples of a power of two, which makes some of them frequent to begin with.

    At high rates a step Δ costs weight · Δ²/12, and doubling it saves a bit: both are in balance at
    Δ² = 6 price / (ln 2 · weight).
    """
    even = np.sqrt(6 * price / np.log(2) / weights.clip(np.finfo(np.float32).tiny))
    grain = 2.0 ** np.floor(np.log2(np.minimum(even, 2 * reach).clip(1, BYTE // 2)))
    return (np.rint(codes / grain) * grain).astype(np.int64)


def _bits(codes: NDArray[np.int64]) -> Floats:
    """What each byte costs an image in which `codes` are as frequent as they are, (256,)."""
    counts = np.bincount(codes, minlength=BYTE) + UNUSED
    return (-np.log2(counts / counts.sum())).astype(np.float32)


@kernel()
def _choose_level(first, end, values, weights, reach, levels, told_from, bits, price, codes):  # noqa: PLR0917 - as kernels go
    """Sets `codes` first to end: the level in reach of least cost, or the nearest where none is in reach."""
    for i in range(first, end):
        value = values[i]
        above = np.searchsorted(levels, value)
        below = above - 1
        if below < 0 or (above < len(levels) and levels[above] - value < value - levels[below]):
            nearest = above
        else:
            nearest = below
        error = levels[nearest] - value
        best = nearest
        least = weights[i] * error * error + price * bits[(nearest - told_from[i]) % 256]
        k = nearest - 1
        while k >= 0 and value - levels[k] <= reach[i]:
            error = levels[k] - value
            cost = weights[i] * error * error + price * bits[(k - told_from[i]) % 256]
            if cost < least:
                best, least = k, cost
            k -= 1
        k = nearest + 1
        while k < len(levels) and levels[k] - value <= reach[i]:
            error = levels[k] - value
            cost = weights[i] * error * error + price * bits[(k - told_from[i]) % 256]
            if cost < least:
                best, least = k, cost
            k += 1
        codes[i] = best


@kernel()
def _choose_step(first, end, places, weights, reach, last, bits, price, codes):  # noqa: PLR0917 - as kernels go
    """Sets `codes` first to end: the step in reach of least cost."""
    for i in range(first, end):
        place = places[i]
        nearest = min(max(int(np.rint(place)), 0), last)
        error = nearest - place
        best, least = nearest, weights[i] * error * error + price * bits[nearest % 256]
        # Within half a byte each low byte occurs once: farther steps cost the same bits.
        span = min(reach[i], F(127))
        # Another high byte would stand out among its neighbours.
        page = nearest // 256 * 256
        lowest = max(page, int(np.ceil(place - span)))
        highest = min(page + 255, int(np.floor(place + span)), last)
        for k in range(lowest, highest + 1):
            error = k - place
            cost = weights[i] * error * error + price * bits[k % 256]
            if cost < least:
                best, least = k, cost
        codes[i] = best
