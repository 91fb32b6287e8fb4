"""Writes a SOG file: every Gaussian of the model, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.archive import write_archive
from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.format import (
    ANTIALIASED,
    GENERATOR,
    META_FILE,
    AssetMeta,
    HarmonicsMeta,
    SogMeta,
)
from spaceport_compressor.sog.images import Picture, encode_picture, lay_out
from spaceport_compressor.sog.kmeans import Palette
from spaceport_compressor.sog.pack_color import pack_color
from spaceport_compressor.sog.pack_harmonics import (
    change_to_frequent,
    cluster_harmonics,
    pack_harmonics,
    palette_size,
    unpack_harmonics,
)
from spaceport_compressor.sog.pack_means import pack_means
from spaceport_compressor.sog.pack_quats import pack_quats
from spaceport_compressor.sog.pack_scales import pack_scales
from spaceport_compressor.sog.pieces import pieces
from spaceport_compressor.sog.precision import (
    CENTER_REACH,
    COLOR_REACH,
    FULL,
    HARMONIC_REACH,
    HARMONICS_PRICE,
    OPACITY_REACH,
    QUATERNION_REACH,
    SIZE_REACH,
    Precision,
)
from spaceport_compressor.sog.quantisation import Leeway
from spaceport_compressor.sog.scan_order import scan_order
from spaceport_compressor.sog.viewing import CONSTANT, Viewing, viewing_of
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

# The product of two sizes, a face, is still a float32: 3.4e38 is exp(88.7).
LARGEST_LOG_SCALE = 44.0
# What a Gaussian that shows nowhere counts in the palette, as a share of the mean.
LEAST_WEIGHT = 0.02


def write_sog(
    path: Path,
    gaussians: Gaussians,
    cameras: Sequence[Camera] = (),
    precision: Precision = FULL,
    seed: int = 0,
) -> None:
    """Write `gaussians` to `path`: the same bytes for the same arguments.

    Args:
        path: of the `.sog`.
        gaussians, cameras, precision, seed: as `sog_files` takes them; in any order.

    Raises:
        ValueError: as `check_writable`.
    """
    check_writable(gaussians)
    write_archive(path, sog_files(gaussians, cameras, precision, seed, scan_order(gaussians.means)))


def sog_files(
    gaussians: Gaussians,
    cameras: Sequence[Camera] = (),
    precision: Precision = FULL,
    seed: int = 0,
    order: NDArray[np.intp] | None = None,
) -> dict[str, bytes]:
    """The files that a SOG is made of, name → contents, `meta.json` first: zipped or in a folder.

    Args:
        gaussians: such as `check_writable` passes, of harmonics' degree 0 to 3.
        cameras: of training, which tell what shows; none: all is kept as finely as the format can.
        precision: how finely each attribute is kept.
        seed: of the palette's clustering.
        order: of the Gaussians in the files, their N indices: neighbours in space one after the other, or
            the files get large. None: as they are.

    One attribute after the other: on top of `gaussians` it takes about their memory once more.
    """
    if order is None:
        order = np.arange(len(gaussians))
    return Draft(gaussians, viewing_of(gaussians, cameras, seed), order, seed).files(precision)


@dataclass(frozen=True)
class Draft:
    """A model about to be written, at several precisions: what takes long is worked out once.

    Attributes:
        gaussians, order, seed: as for `sog_files`.
        viewing: what the flight's pictures show of them.
    """

    gaussians: Gaussians
    viewing: Viewing
    order: NDArray[np.intp]
    seed: int
    _palettes: dict[float, Palette] = field(default_factory=dict)

    def files(self, precision: Precision) -> dict[str, bytes]:
        """As `sog_files`."""
        gaussians, order = self.gaussians, self.order
        leeways = _Leeways(self, precision.bit_price)
        means, (low, high) = pack_means(gaussians.means[order], leeways.means())
        quats, log_scales = nearest_axes(gaussians.quats[order], gaussians.log_scales[order])
        turns, rotations = pack_quats(quats, leeways.quats())
        del quats
        scales, sizes = pack_scales(log_scales, leeways.log_scales())
        del log_scales
        base, harmonics, harmonics_pictures = self._split_color(precision)
        sh0, colors = pack_color(base, gaussians.opacities[order], leeways.base(), leeways.opacities())
        del base
        pictures: dict[str, Picture] = {
            means.files[0]: lay_out(low),
            means.files[1]: lay_out(high),
            scales.files[0]: lay_out(sizes),
            turns.files[0]: lay_out(rotations),
            sh0.files[0]: lay_out(colors),
            **harmonics_pictures,
        }
        meta = SogMeta(
            asset=AssetMeta(generator=GENERATOR),
            count=len(gaussians),
            model=ANTIALIASED if gaussians.antialiased else None,
            means=means,
            scales=scales,
            quats=turns,
            sh0=sh0,
            harmonics=harmonics,
        )
        # libwebp works without the GIL.
        with ThreadPoolExecutor(available_cores()) as threads:
            images = dict(zip(pictures, threads.map(encode_picture, pictures.values()), strict=True))
        return {META_FILE: meta.to_json().encode(), **images}

    def _split_color(
        self, precision: Precision
    ) -> tuple[NDArray[np.float32], HarmonicsMeta | None, dict[str, Picture]]:
        """The base colours (N, 3) to store, and the palette of the rest with its pictures, in `order`.

        The base takes up what the palette gets wrong, as far as that is the same in all directions seen.
        """
        base, rest = self.gaussians.sh[:, 0].copy(), self.gaussians.sh[:, 1:]
        if not rest.any():
            return base[self.order], None, {}
        palette = self._palette(precision.gaussians_per_entry)
        known = self.viewing.sensitivity
        if precision.bit_price > 0 and known is not None:
            palette = change_to_frequent(
                palette, rest, self.viewing.metric, known.colors, HARMONICS_PRICE * precision.bit_price
            )
        meta, (entries, labels) = pack_harmonics(
            palette, self._entries_leeway(palette, HARMONICS_PRICE * precision.bit_price)
        )
        for piece in pieces(len(base)):
            missing = rest[piece] - unpack_harmonics(meta, entries, labels[piece])
            base[piece] += np.einsum("nk,nkc->nc", self.viewing.means[piece], missing) / CONSTANT
        pictures = {meta.files[0]: entries, meta.files[1]: lay_out(labels[self.order])}
        return base[self.order], meta, pictures

    def _palette(self, gaussians_per_entry: float) -> Palette:
        if gaussians_per_entry not in self._palettes:
            known = self.viewing.sensitivity
            weights = _prominence(self.gaussians) if known is None else known.colors
            # Who shows nowhere is not drawn at random.
            weights = weights + LEAST_WEIGHT * weights.mean(dtype=np.float64).astype(np.float32)
            self._palettes[gaussians_per_entry] = cluster_harmonics(
                self.gaussians.sh[:, 1:],
                palette_size(len(self.gaussians), gaussians_per_entry),
                self.viewing.metric,
                weights,
                self.seed,
            )
        return self._palettes[gaussians_per_entry]

    def _entries_leeway(self, palette: Palette, price: float) -> Leeway | None:
        """An entry's number counts as much as all the Gaussians that take it, and as its harmonic does."""
        known = self.viewing.sensitivity
        if price == 0 or known is None:
            return None
        takers = np.bincount(palette.labels, known.colors, len(palette.entries))
        weights = np.outer(takers, np.diag(self.viewing.metric).repeat(3)).astype(np.float32)
        return Leeway(weights, np.full_like(weights, HARMONIC_REACH), price)


@dataclass(frozen=True)
class _Leeways:
    """How far off each attribute may be at a price, in the files' order: worked out when it is asked for."""

    draft: Draft
    price: float

    def means(self) -> Leeway | None:
        sizes = self.draft.gaussians.log_scales[self.draft.order]
        leeway = self._of("means", CENTER_REACH * np.exp(np.median(sizes, axis=1))[:, None])
        return leeway and leeway.repeated(3)

    def quats(self) -> Leeway | None:
        return self._of("quats", QUATERNION_REACH)

    def log_scales(self) -> Leeway | None:
        return self._of("log_scales", SIZE_REACH)

    def opacities(self) -> Leeway | None:
        return self._of("opacities", OPACITY_REACH)

    def base(self) -> Leeway | None:
        leeway = self._of("colors", COLOR_REACH)
        return leeway and leeway.repeated(3)

    def _of(self, attribute: str, reach: NDArray[np.floating] | float) -> Leeway | None:
        known = self.draft.viewing.sensitivity
        if self.price == 0 or known is None:
            return None
        rows = getattr(known, attribute)[self.draft.order].reshape(len(self.draft.order), -1)
        return Leeway(rows, np.broadcast_to(np.float32(reach), rows.shape), self.price)


def check_writable(gaussians: Gaussians) -> None:
    """Raises ValueError where the model is empty or holds numbers that no file can carry: not finite, a
    size that overflows, a rotation of length zero.
    """
    if len(gaussians) == 0:
        raise ValueError("the model has no Gaussians")
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
        values = getattr(gaussians, name).reshape(len(gaussians), -1)
        finite = (np.isfinite(values[piece]).all(axis=1) for piece in pieces(len(gaussians)))
        broken = sum(int((~whole).sum()) for whole in finite)
        if broken:
            raise ValueError(f"{broken} of {len(gaussians)} Gaussians have {name} that are not finite")
    if gaussians.log_scales.max() > LARGEST_LOG_SCALE:
        raise ValueError("a Gaussian is larger than numbers go")
    if not np.linalg.norm(gaussians.quats, axis=1).all():
        raise ValueError("a Gaussian has a rotation of length zero")


def _prominence(gaussians: Gaussians) -> NDArray[np.float32]:
    """How much of a picture each Gaussian can make up, (N,): its opacity times its broadest face, m².

    Weighting the palette's errors by this is worth 0.5 to 0.8 dB of the decoded pictures.
    """
    sizes = np.sort(gaussians.scales, axis=1)
    return gaussians.opacities * sizes[:, 1] * sizes[:, 2]
