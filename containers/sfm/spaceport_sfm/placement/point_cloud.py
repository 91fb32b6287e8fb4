"""`points.ply`: the SfM points for any viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

# float32 holds a millimetre up to 8 km from the origin; viewers take nothing larger.
VERTEX = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("red", "u1"),
        ("green", "u1"),
        ("blue", "u1"),
        ("error", "<f4"),
        ("views", "u1"),
    ]
)
_PLY_TYPES = {"<f4": "float", "|u1": "uchar"}  # COLMAP reads no others


def write_points(model: pycolmap.Reconstruction, file: Path, frame: str) -> None:
    """Write the points of `model` as a binary PLY, in the order of their ids.

    With each: colour, mean reprojection error in pixels, and how many photos show it (255 for more).

    Args:
        frame: what the coordinates are, one line for the header.
    """
    points = [point for _, point in sorted(model.points3D.items())]
    vertices = np.zeros(len(points), VERTEX)
    if points:
        places = np.array([point.xyz for point in points])
        colours = np.array([point.color for point in points])
        for column, name in enumerate("xyz"):
            vertices[name] = places[:, column]
        for column, name in enumerate(("red", "green", "blue")):
            vertices[name] = colours[:, column]
        vertices["error"] = [point.error for point in points]
        vertices["views"] = [min(point.track.length(), 255) for point in points]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {frame}",
        f"element vertex {len(points)}",
        *(f"property {_PLY_TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names or ()),
        "end_header",
    ]
    file.write_bytes("\n".join(header).encode("ascii") + b"\n" + vertices.tobytes())
