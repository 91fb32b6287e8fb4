"""Reads a SOG file of version 2 back into Gaussians: what any viewer will see of the model."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from spaceport.errors import UserError
from spaceport_compressor.sog.archive import open_archive, read_member
from spaceport_compressor.sog.format import ANTIALIASED, META_FILE, SogMeta
from spaceport_compressor.sog.images import Picture, Texels, decode_picture
from spaceport_compressor.sog.pack_color import unpack_color
from spaceport_compressor.sog.pack_harmonics import unpack_harmonics
from spaceport_compressor.sog.pack_means import unpack_means
from spaceport_compressor.sog.pack_quats import unpack_quats
from spaceport_compressor.sog.pack_scales import unpack_scales
from spaceport_compressor.sog.pieces import pieces
from spaceport_render.gaussians import AntialiasedGaussians, Gaussians

# Files take 5 to 20 bytes a Gaussian. What promises more Gaussians than bytes was made to fill the memory,
# unless it is small enough to do no harm, as is a picture of so many texels.
LEAST_BYTES = 1
SMALL = 2**20
PADDING = 4  # writers round the sides of pictures up, to powers of two at the most


def read_sog(path: Path) -> Gaussians:
    """The Gaussians of the `.sog` at `path`, in the file's order.

    Raises:
        UserError: `not_sog`, where the file is no SOG of version 2 or is damaged.
    """
    try:
        with open_archive(path) as archive:
            meta = SogMeta.model_validate_json(read_member(archive, META_FILE))
            room = max(SMALL, path.stat().st_size // LEAST_BYTES)
            if meta.count > room:
                raise ValueError(f"{meta.count} Gaussians can't be in a file of {path.stat().st_size} bytes")
            return _decode(meta, archive)
    except ValueError as error:
        raise UserError(
            "not_sog",
            f"{path.name} can't be read as a SOG file: {_told(error)}.",
            "Give a .sog of version 2, whole as it was downloaded.",
        ) from error


def _decode(meta: SogMeta, archive: zipfile.ZipFile) -> Gaussians:
    def picture(name: str, texels: int) -> Picture:
        return decode_picture(read_member(archive, name), PADDING * texels + SMALL)

    def texels(name: str) -> Texels:
        flat = picture(name, meta.count).reshape(-1, 4)
        if len(flat) < meta.count:
            raise ValueError(f"{name} has {len(flat)} texels for {meta.count} Gaussians")
        return flat[: meta.count]

    base, opacity_logits = unpack_color(meta.sh0, texels(meta.sh0.files[0]))
    sh = base[:, None, :]
    if meta.harmonics is not None:
        coefficients = (meta.harmonics.bands + 1) ** 2
        sh = np.empty((meta.count, coefficients, 3), dtype=np.float32)
        sh[:, 0] = base
        palette = picture(meta.harmonics.files[0], meta.harmonics.count * coefficients)
        labels = texels(meta.harmonics.files[1])
        for piece in pieces(meta.count):
            sh[piece, 1:] = unpack_harmonics(meta.harmonics, palette, labels[piece])
    low, high = meta.means.files
    kind = AntialiasedGaussians if meta.model == ANTIALIASED else Gaussians
    return kind(
        means=unpack_means(meta.means, texels(low), texels(high)),
        quats=unpack_quats(texels(meta.quats.files[0])),
        log_scales=unpack_scales(meta.scales, texels(meta.scales.files[0])),
        opacity_logits=opacity_logits,
        sh=sh,
    )


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        return f"{META_FILE}: {place}: {first['msg'].lower()}"
    return str(error).rstrip(".").lower()
