"""Cuts a model into parts of space, the same for all of its levels of detail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.lod.mixture import Doubles, Indices, mixture_of
from spaceport_render.gaussians import Gaussians


@dataclass(frozen=True)
class ChunkSize:
    """When a part of space is cut in two.

    Attributes:
        gaussians: at more than so many, all levels together.
        extent: where it is longer than that, metres, and
        least: holds more than so many: the sparse surroundings are not worth a cut.
    """

    gaussians: int
    extent: float
    least: int


@dataclass(frozen=True)
class Chunk:
    """A part of space that is drawn at one level.

    Attributes:
        low, high: (3,) the box of its Gaussians' one-sigma boxes, metres.
        members: for each level the indices of its Gaussians, (n,).
    """

    low: Doubles
    high: Doubles
    members: tuple[Indices, ...]


@dataclass(frozen=True)
class Cut:
    """A part of space in two halves; `low` and `high` as in Chunk."""

    low: Doubles
    high: Doubles
    halves: tuple[Tree, Tree]


Tree = Cut | Chunk


def cut_into_chunks(levels: Sequence[Gaussians], size: ChunkSize) -> Tree:
    """The tree of chunks of `levels`, of which the finest has at least one Gaussian.

    A k-d tree over the centres of all levels: every cut is at the median along the longest side.
    """
    means = np.concatenate([level.means for level in levels]).astype(np.float64)
    reaches = np.concatenate([one_sigma_reaches(level) for level in levels])
    starts = np.cumsum([0, *(len(level) for level in levels)])

    def chunk(members: Indices) -> Chunk:
        borders = np.searchsorted(members, starts)
        of_levels = (members[a:b] - start for a, b, start in zip(borders, borders[1:], starts, strict=False))
        low, high = (means[members] - reaches[members]).min(0), (means[members] + reaches[members]).max(0)
        return Chunk(low, high, tuple(of_levels))

    def cut(members: Indices) -> Tree:
        sides = np.ptp(means[members], axis=0)
        longest = int(sides.argmax())
        many, wide = len(members) > size.gaussians, sides[longest] > size.extent and len(members) > size.least
        if not (many or wide):
            return chunk(members)
        along = means[members, longest]
        is_left = along < np.median(along)
        if not is_left.any():  # half of them, or more, stand in one place
            return chunk(members)
        halves = cut(members[is_left]), cut(members[~is_left])
        low, high = np.minimum(halves[0].low, halves[1].low), np.maximum(halves[0].high, halves[1].high)
        return Cut(low, high, halves)

    return cut(np.arange(len(means)))


def chunks_of(tree: Tree) -> Iterator[Chunk]:
    """The chunks of `tree`, neighbours one after the other."""
    if isinstance(tree, Chunk):
        yield tree
    else:
        for half in tree.halves:
            yield from chunks_of(half)


def one_sigma_reaches(gaussians: Gaussians) -> NDArray[np.float64]:
    """Half the sides of each Gaussian's one-sigma box along the world's axes, metres: (N, 3)."""
    mixture = mixture_of(gaussians, np.ones(len(gaussians)))
    return np.sqrt(mixture.covariances[:, [0, 3, 5]])
