"""3DGS models as binary PLY files, property for property as the original 3DGS code writes them.

Left out are only the normals: always zero there, and no reader asks for them. Readers go by property
name, so files of gsplat, Inria's code and ours can be read alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from spaceport.errors import UserError
from spaceport_render.gaussians import Floats, Gaussians

_NUMPY_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}
_MEANS = ["x", "y", "z"]
_SCALES = ["scale_0", "scale_1", "scale_2"]
_QUATS = ["rot_0", "rot_1", "rot_2", "rot_3"]
_BASE_COLOR = ["f_dc_0", "f_dc_1", "f_dc_2"]
# Spherical-harmonics coefficients beyond the first, of all three channels, for degrees 0 to 3.
_REST_COUNTS = (0, 9, 24, 45)
# A 3DGS header has about 65 lines of 25 bytes; a file without `end_header` by then is something else.
_LONGEST_HEADER = 64 * 1024


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Writes `gaussians` to `path`: float32, little endian; `f_rest_*` hold one channel after the other."""
    count, coefficients, channels = gaussians.sh.shape
    rest = gaussians.sh[:, 1:].transpose(0, 2, 1).reshape(count, (coefficients - 1) * channels)
    names = [*_MEANS, *_BASE_COLOR, *_rest_names(rest.shape[1]), "opacity", *_SCALES, *_QUATS]
    rows = np.concatenate(
        [
            gaussians.means,
            gaussians.sh[:, 0],
            rest,
            gaussians.opacity_logits[:, None],
            gaussians.log_scales,
            gaussians.quats,
        ],
        axis=1,
        dtype=np.float32,
    )
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in names]
    header += ["end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(rows.astype("<f4", copy=False).tobytes())


def read_ply(path: Path) -> Gaussians:
    """The Gaussians in `path`.

    Raises:
        UserError: `bad_ply`, when the file is not a binary 3DGS PLY or ends early.
        OSError: when it can't be opened.
    """
    with path.open("rb") as file:
        count, row_type = _read_header(file, path.name)
        rows = np.fromfile(file, dtype=row_type, count=count)
    if len(rows) < count:
        raise _bad(path.name, f"ends after {len(rows)} of its {count} Gaussians")

    def columns(names: list[str]) -> Floats:
        return np.stack([rows[name].astype(np.float32) for name in names], axis=1)

    sh = columns(_BASE_COLOR)[:, None, :]
    rest = _rest_names(sum(name.startswith("f_rest_") for name in row_type.names or ()))
    if rest:
        by_channel = columns(rest).reshape(count, 3, len(rest) // 3)
        sh = np.concatenate([sh, by_channel.transpose(0, 2, 1)], axis=1)
    return Gaussians(
        means=columns(_MEANS),
        quats=columns(_QUATS),
        log_scales=columns(_SCALES),
        opacity_logits=rows["opacity"].astype(np.float32),
        sh=np.ascontiguousarray(sh),
    )


def _rest_names(count: int) -> list[str]:
    return [f"f_rest_{i}" for i in range(count)]


def _read_header(file: BinaryIO, name: str) -> tuple[int, np.dtype[np.void]]:
    """The number of vertices and the layout of each; leaves `file` at the first vertex."""
    count: int | None = None
    properties: list[tuple[str, str]] = []
    in_vertex = False
    for line in _header_lines(file, name):
        match line.split():
            case ["format", encoding, *_] if encoding != "binary_little_endian":
                raise _bad(name, f"is written as {encoding}; only binary_little_endian is read")
            case ["element", "vertex", number] if number.isdecimal():
                count, in_vertex = int(number), True
            case ["element", element, *_]:
                if count is None:
                    raise _bad(name, f"holds {element!r} before its vertices")
                in_vertex = False
            case ["property", kind, field] if in_vertex and kind in _NUMPY_TYPES:
                properties.append((field, _NUMPY_TYPES[kind]))
            case ["property", *_] if in_vertex:
                raise _bad(name, f"has a vertex property that 3DGS files don't have: {line!r}")
            case _:  # comments, and the properties of elements after the vertices
                pass
    if count is None:
        raise _bad(name, "has no vertices")
    return count, _row_type(properties, name)


def _header_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines between `ply` and `end_header`."""
    if file.readline(_LONGEST_HEADER).strip() != b"ply":
        raise _bad(name, "does not start with the word `ply`")
    while True:
        line = file.readline(_LONGEST_HEADER)
        if not line.endswith(b"\n") or file.tell() > _LONGEST_HEADER:
            raise _bad(name, "has no complete header")
        if line.strip() == b"end_header":
            return
        yield line.decode("ascii", errors="replace").strip()


def _row_type(properties: list[tuple[str, str]], name: str) -> np.dtype[np.void]:
    fields = [field for field, _ in properties]
    needed = [*_MEANS, *_BASE_COLOR, "opacity", *_SCALES, *_QUATS]
    missing = [field for field in needed if field not in fields]
    if missing:
        raise _bad(name, f"lacks {', '.join(missing)}")
    rest = sorted(field for field in fields if field.startswith("f_rest_"))
    if len(rest) not in _REST_COUNTS or rest != sorted(_rest_names(len(rest))):
        raise _bad(name, f"has {len(rest)} f_rest properties, where 0, 9, 24 or 45 make sense")
    if len(set(fields)) < len(fields):
        raise _bad(name, "names a property twice")
    return np.dtype(properties)


def _bad(name: str, what: str) -> UserError:
    return UserError(
        "bad_ply",
        f"{name} is not a 3D Gaussian Splat: it {what}.",
        "Give a binary PLY file as 3DGS training writes it (model.ply).",
    )
