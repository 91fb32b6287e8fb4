"""Writes a SOG file: every Gaussian of the model, in Morton order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.archive import write_archive
from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.format import GENERATOR, META_FILE, AssetMeta, HarmonicsMeta, SogMeta
from spaceport_compressor.sog.images import Picture, encode_picture, lay_out
from spaceport_compressor.sog.morton import morton_order
from spaceport_compressor.sog.pack_color import pack_color
from spaceport_compressor.sog.pack_harmonics import pack_harmonics, palette_size, unpack_harmonics
from spaceport_compressor.sog.pack_means import pack_means
from spaceport_compressor.sog.pack_quats import pack_quats
from spaceport_compressor.sog.pack_scales import pack_scales
from spaceport_compressor.sog.pieces import pieces
from spaceport_compressor.sog.precision import FULL, Precision
from spaceport_compressor.sog.viewing import CONSTANT, viewing_of
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

# The product of two sizes, a face, is still a float32: 3.4e38 is exp(88.7).
LARGEST_LOG_SCALE = 44.0


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
    write_archive(path, sog_files(gaussians, cameras, precision, seed, morton_order(gaussians.means)))


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
        cameras: of training, whose directions the colours must be right in; none: all directions.
        precision: how finely each attribute is kept.
        seed: of the palette's clustering.
        order: of the Gaussians in the files, their N indices: neighbours in space one after the other, or
            the files get large. None: as they are.

    One attribute after the other: on top of `gaussians` it takes about their memory once more.
    """
    if order is None:
        order = np.arange(len(gaussians))
    means, (low, high) = pack_means(gaussians.means[order], precision.mean_bits)
    quats, log_scales = _shortest_told(gaussians, order)
    turns, rotations = pack_quats(quats, precision.rotation_steps)
    scales, sizes = pack_scales(log_scales, precision.scale_levels)
    base, harmonics, harmonics_pictures = _split_color(gaussians, cameras, precision, seed, order)
    opacities = gaussians.opacities[order]
    sh0, colors = pack_color(base[order], opacities, precision.color_levels, precision.opacity_steps)
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


def _shortest_told(
    gaussians: Gaussians, order: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rotations and sizes of the Gaussians in `order`, by `nearest_axes`."""
    quats, log_scales = gaussians.quats[order], gaussians.log_scales[order]
    for piece in pieces(len(order)):
        quats[piece], log_scales[piece] = nearest_axes(quats[piece], log_scales[piece])
    return quats, log_scales


def _split_color(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    precision: Precision,
    seed: int,
    order: NDArray[np.intp],
) -> tuple[NDArray[np.float32], HarmonicsMeta | None, dict[str, Picture]]:
    """The base colours (N, 3) to store, and the palette of the rest with its pictures, the labels in `order`.

    The base takes up what the palette gets wrong, as far as that is the same in all directions seen.
    """
    base, rest = gaussians.sh[:, 0].copy(), gaussians.sh[:, 1:]
    if not rest.any():
        return base, None, {}
    weights = _prominence(gaussians)
    viewing = viewing_of(gaussians, cameras, weights)
    size = palette_size(len(gaussians), precision.gaussians_per_entry)
    meta, (entries, labels) = pack_harmonics(rest, size, viewing.metric, weights, seed)
    for piece in pieces(len(gaussians)):
        missing = rest[piece] - unpack_harmonics(meta, entries, labels[piece])
        base[piece] += np.einsum("nk,nkc->nc", viewing.means[piece], missing) / CONSTANT
    return base, meta, {meta.files[0]: entries, meta.files[1]: lay_out(labels[order])}


def _prominence(gaussians: Gaussians) -> NDArray[np.float32]:
    """How much of a picture each Gaussian can make up, (N,): its opacity times its broadest face, m².

    Weighting the palette's errors by this is worth 0.5 to 0.8 dB of the decoded pictures.
    """
    sizes = np.sort(gaussians.scales, axis=1)
    return gaussians.opacities * sizes[:, 1] * sizes[:, 2]
