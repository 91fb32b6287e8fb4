"""Two photos to compare."""

from __future__ import annotations

from collections.abc import Iterable

# Names of two photos.
Pair = tuple[str, str]


def in_order(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Each pair once, in one fixed order: results must not depend on how the pairs were found."""
    return tuple(sorted({(min(pair), max(pair)) for pair in pairs}))
