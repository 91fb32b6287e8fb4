"""3DGS models as binary PLY files, property for property as the original 3DGS code writes them.

Left out are only the normals: always zero there, and no reader asks for them. Readers go by property
name, so files of gsplat, Inria's code and ours can be read alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from spaceport.errors import UserError
from spaceport_render.gaussians import AntialiasedGaussians, Floats, Gaussians

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
# The comment by which Brush, splat-transform and PlayCanvas' engine tell how a model is to be drawn.
_ANTIALIASED = "SplatRenderMode: mip"
# A 3DGS header has about 65 lines of 25 bytes; a file without `end_header` by then is something else.
_LONGEST_HEADER = 64 * 1024
# Gaussians turned from rows to columns at a time: 4 MB of a file of degree 3, which stay in a core's cache.
_PIECE = 16_384


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Writes `gaussians` to `path`: float32, little endian; `f_rest_*` hold one channel after the other."""
    columns = _columns(gaussians)
    header = ["ply", "format binary_little_endian 1.0"]
    if gaussians.antialiased:
        header.append(f"comment {_ANTIALIASED}")
    header.append(f"element vertex {len(gaussians)}")
    header += [f"property float {name}" for name in columns]
    header += ["end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        for first in range(0, len(gaussians), _PIECE):
            piece = [column[first : first + _PIECE] for column in columns.values()]
            file.write(np.stack(piece, axis=1, dtype="<f4").tobytes())


def read_ply(path: Path) -> Gaussians:
    """The Gaussians in `path`.

    Takes the memory of what it returns and hardly more.

    Raises:
        UserError: `bad_ply`, when the file is not a binary 3DGS PLY or ends early.
        OSError: when it can't be opened.
    """
    with path.open("rb") as file:
        count, row_type, splat = _read_header(file, path.name)
        # Asked before memory is taken: a header may promise anything.
        there = (path.stat().st_size - file.tell()) // row_type.itemsize
        if there < count:
            raise _bad(path.name, f"ends after {there} of its {count} Gaussians")
        gaussians = _room_for(count, row_type.names or (), splat)
        columns = _columns(gaussians)
        for first in range(0, count, _PIECE):
            rows = np.fromfile(file, dtype=row_type, count=min(_PIECE, count - first))
            for name, column in columns.items():
                column[first : first + _PIECE] = rows[name]
    return gaussians


def _room_for(count: int, names: Sequence[str], splat: type[Gaussians]) -> Gaussians:
    rest = sum(name.startswith("f_rest_") for name in names)
    shapes = (count, 3), (count, 4), (count, 3), (count,), (count, 1 + rest // 3, 3)
    return splat(*(np.empty(shape, np.float32) for shape in shapes))


def _columns(gaussians: Gaussians) -> dict[str, Floats]:
    """Views of the arrays, (N,) each, by the property that holds them, in the files' order."""
    coefficients = gaussians.sh.shape[1] - 1
    rest = {
        f"f_rest_{channel * coefficients + index}": gaussians.sh[:, 1 + index, channel]
        for channel in range(3)
        for index in range(coefficients)
    }

    def named(names: list[str], array: Floats) -> dict[str, Floats]:
        return dict(zip(names, array.T, strict=True))

    return {
        **named(_MEANS, gaussians.means),
        **named(_BASE_COLOR, gaussians.sh[:, 0]),
        **rest,
        "opacity": gaussians.opacity_logits,
        **named(_SCALES, gaussians.log_scales),
        **named(_QUATS, gaussians.quats),
    }


def _rest_names(count: int) -> list[str]:
    return [f"f_rest_{i}" for i in range(count)]


def _read_header(file: BinaryIO, name: str) -> tuple[int, np.dtype[np.void], type[Gaussians]]:
    """The number of vertices, the layout of each, and what they are; leaves `file` at the first vertex."""
    count: int | None = None
    splat = Gaussians
    properties: list[tuple[str, str]] = []
    in_vertex = False
    for line in _header_lines(file, name):
        match line.split():
            case ["format", encoding, *_] if encoding != "binary_little_endian":
                raise _bad(name, f"is written as {encoding}; only binary_little_endian is read")
            case ["element", "vertex", number] if number.isdecimal():
                count, in_vertex = int(number), True
            case ["element", "vertex", *number]:
                raise _bad(name, f"has {' '.join(number) or 'nothing'!r} for a number of vertices")
            case ["element", element, *_]:
                if count is None:
                    raise _bad(name, f"holds {element!r} before its vertices")
                in_vertex = False
            case ["property", kind, field] if in_vertex and kind in _NUMPY_TYPES:
                properties.append((field, _NUMPY_TYPES[kind]))
            case ["property", *_] if in_vertex:
                raise _bad(name, f"has a vertex property that 3DGS files don't have: {line!r}")
            case ["comment", *words] if " ".join(words) == _ANTIALIASED:
                splat = AntialiasedGaussians
            case _:  # other comments, and the properties of elements after the vertices
                pass
    if count is None:
        raise _bad(name, "has no vertices")
    return count, _row_type(properties, name), splat


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
