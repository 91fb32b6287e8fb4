"""glTF with Gaussians as the points of a mesh: the extension KHR_gaussian_splatting.

Two kinds: the plain one (ratified; all numbers as float32), and one that packs them as SPZ, by the draft
KHR_gaussian_splatting_compression_spz_2, the only kind that CesiumJS shows (up to 1.145 of 2026). Both are
in glTF's y-up axes, without a node's matrix: readers differ in whether that turns the harmonics, too.
Source: https://github.com/KhronosGroup/glTF, extensions/2.0/Khronos/KHR_gaussian_splatting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.formats.glb import aligned, write_glb
from spaceport_compressor.formats.spz import SpzVersion, write_spz
from spaceport_compressor.sog.format import GENERATOR
from spaceport_render.gaussians import Gaussians
from spaceport_render.spherical_harmonics import SH_0

logger = logging.getLogger(__name__)

SPLATTING = "KHR_gaussian_splatting"
SPZ_PACKED = "KHR_gaussian_splatting_compression_spz_2"
_BYTE, _FLOAT = 5121, 5126  # glTF's numbers for the types
_VERTICES = 34962  # and for a buffer of vertices
_POINTS = 0  # and for a mesh of points


@dataclass(frozen=True)
class _Attribute:
    """One attribute of all points: `values` (N, components), float32, or uint8 where 255 stands for 1."""

    name: str
    values: NDArray[np.generic]

    @property
    def accessor(self) -> dict[str, Any]:
        count, components = self.values.shape
        told: dict[str, Any] = {
            "componentType": _FLOAT if self.values.dtype == np.float32 else _BYTE,
            "count": count,
            "type": "SCALAR" if components == 1 else f"VEC{components}",
        }
        if self.values.dtype == np.uint8:
            told["normalized"] = True
        if self.name == "POSITION":
            told |= {"min": self.values.min(axis=0).tolist(), "max": self.values.max(axis=0).tolist()}
        return told


def write_gltf(path: Path, upright: Gaussians) -> None:
    """Write `upright`, which is in y-up axes, as a `.glb` of the plain kind.

    The extension can't say that they are to be drawn antialiased: the log tells that it is lost.

    Raises:
        DoesNotFitError: for more than 4 GB.
    """
    if upright.antialiased:
        logger.warning("glTF can't say that a model was trained antialiased: viewers will draw it too thick")
    attributes = _attributes(upright)
    starts = np.cumsum([0, *(attribute.values.nbytes for attribute in attributes)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": attribute.values.nbytes, "target": _VERTICES}
        for start, attribute in zip(starts, attributes, strict=False)
    ]
    accessors = [{"bufferView": i, **attribute.accessor} for i, attribute in enumerate(attributes)]
    splatting = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "sortingMethod": "cameraDistance",
        "projection": "perspective",
    }
    document = _document(attributes, accessors, views, starts[-1], splatting)
    # Who does not know the extension shows the points, in their colours.
    write_glb(path, document | {"extensionsUsed": [SPLATTING]}, _blocks(attributes), starts[-1])


def write_packed_gltf(path: Path, upright: Gaussians) -> None:
    """Write `upright`, which is in y-up axes, as a `.glb` of the kind packed by SPZ.

    The draft asks for version 2.0 of the SPZ library, whose files are of version 3.

    Raises:
        DoesNotFitError: as `write_spz`.
    """
    with TemporaryDirectory() as scratch:
        spz = Path(scratch) / "model.spz"
        write_spz(spz, upright, SpzVersion.GZIP)
        packed = spz.read_bytes()
    attributes = [
        attribute
        for attribute in _attributes(upright)
        # Opacities and colours are told by COLOR_0 here.
        if not attribute.name.endswith((":OPACITY", ":SH_DEGREE_0_COEF_0"))
    ]
    splatting = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "extensions": {SPZ_PACKED: {"bufferView": 0}},
    }
    accessors = [attribute.accessor for attribute in attributes]
    views = [{"buffer": 0, "byteOffset": 0, "byteLength": len(packed)}]
    length = aligned(len(packed))
    needed = [SPLATTING, SPZ_PACKED]
    document = _document(attributes, accessors, views, length, splatting)
    document |= {"extensionsUsed": needed, "extensionsRequired": needed}
    write_glb(path, document, [packed, bytes(length - len(packed))], length)


def _attributes(upright: Gaussians) -> list[_Attribute]:
    lengths = np.linalg.norm(upright.quats, axis=1, keepdims=True)
    bases = [
        _Attribute("POSITION", upright.means),
        _Attribute("COLOR_0", _fallback_colors(upright)),
        _Attribute(f"{SPLATTING}:ROTATION", (upright.quats / lengths)[:, [1, 2, 3, 0]]),
        _Attribute(f"{SPLATTING}:SCALE", upright.scales),
        _Attribute(f"{SPLATTING}:OPACITY", upright.opacities[:, None]),
    ]
    harmonics = [
        _Attribute(f"{SPLATTING}:SH_DEGREE_{degree}_COEF_{order}", upright.sh[:, degree**2 + order])
        for degree in range(upright.sh_degree + 1)
        for order in range(2 * degree + 1)
    ]
    return bases + harmonics


def _fallback_colors(gaussians: Gaussians) -> NDArray[np.uint8]:
    """(N, 4) what a viewer of mere points draws: each one's base colour and opacity."""
    colors = np.concatenate([0.5 + SH_0 * gaussians.sh[:, 0], gaussians.opacities[:, None]], axis=1)
    return np.rint(255 * colors.clip(0, 1)).astype(np.uint8)


def _document(
    attributes: list[_Attribute],
    accessors: list[dict[str, Any]],
    views: list[dict[str, Any]],
    length: int,
    splatting: dict[str, Any],
) -> dict[str, Any]:
    primitive = {
        "attributes": {attribute.name: i for i, attribute in enumerate(attributes)},
        "mode": _POINTS,
        "extensions": {SPLATTING: splatting},
    }
    return {
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": length}],
    }


def _blocks(attributes: list[_Attribute]) -> Iterator[bytes]:
    for attribute in attributes:
        yield np.ascontiguousarray(attribute.values).tobytes()
