"""Writes a SOG file: every Gaussian of the model, in Morton order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spaceport_compressor.morton import morton_order
from spaceport_compressor.pack_color import pack_color
from spaceport_compressor.pack_harmonics import pack_harmonics, palette_size
from spaceport_compressor.pack_means import pack_means
from spaceport_compressor.pack_quats import pack_quats
from spaceport_compressor.pack_scales import pack_scales
from spaceport_compressor.sog_archive import write_archive
from spaceport_compressor.sog_format import GENERATOR, META_FILE, AssetMeta, SogMeta
from spaceport_compressor.sog_images import Picture, encode_picture, lay_out
from spaceport_render.gaussians import Gaussians


def write_sog(path: Path, gaussians: Gaussians, palette: int | None = None, seed: int = 0) -> None:
    """Write `gaussians` to `path`: the same bytes for the same model, palette and seed.

    Args:
        path: of the `.sog`.
        gaussians: at least one, of harmonics' degree 0 to 3.
        palette: entries of the harmonics' palette at most; None takes what suits the count.
        seed: of the palette's clustering.

    Raises:
        ValueError: the model is empty, or holds numbers that no file can carry (not finite,
            a rotation of length zero).
    """
    _check(gaussians)
    ordered = gaussians.select(morton_order(gaussians.means))
    means, (low, high) = pack_means(ordered.means)
    quats, rotations = pack_quats(ordered.quats)
    scales, sizes = pack_scales(ordered.log_scales)
    sh0, colors = pack_color(ordered.sh[:, 0], ordered.opacities)
    pictures: dict[str, Picture] = {
        means.files[0]: lay_out(low),
        means.files[1]: lay_out(high),
        scales.files[0]: lay_out(sizes),
        quats.files[0]: lay_out(rotations),
        sh0.files[0]: lay_out(colors),
    }
    harmonics = None
    if ordered.sh_degree > 0 and ordered.sh[:, 1:].any():
        size = palette or palette_size(len(ordered))
        harmonics, (entries, labels) = pack_harmonics(ordered.sh[:, 1:], size, seed)
        pictures |= {harmonics.files[0]: entries, harmonics.files[1]: lay_out(labels)}
    meta = SogMeta(
        asset=AssetMeta(generator=GENERATOR),
        count=len(ordered),
        means=means,
        scales=scales,
        quats=quats,
        sh0=sh0,
        harmonics=harmonics,
    )
    images = {name: encode_picture(picture) for name, picture in pictures.items()}
    write_archive(path, {META_FILE: meta.to_json().encode(), **images})


def _check(gaussians: Gaussians) -> None:
    if len(gaussians) == 0:
        raise ValueError("the model has no Gaussians")
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
        values = getattr(gaussians, name).reshape(len(gaussians), -1)
        broken = int((~np.isfinite(values)).any(axis=1).sum())
        if broken:
            raise ValueError(f"{broken} of {len(gaussians)} Gaussians have {name} that are not finite")
    if not np.linalg.norm(gaussians.quats, axis=1).all():
        raise ValueError("a Gaussian has a rotation of length zero")
