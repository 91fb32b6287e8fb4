"""3D Tiles 1.1: the model as one tile, placed on the globe.

Source: OGC 22-025r4, "3D Tiles Specification 1.1". One tile holds all at full detail.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spaceport.quality import Origin
from spaceport_compressor.formats.fit import DoesNotFitError
from spaceport_compressor.formats.globe import east_north_up_to_fixed
from spaceport_compressor.formats.gltf import SPLATTING, SPZ_PACKED, write_packed_gltf
from spaceport_compressor.sog.format import GENERATOR
from spaceport_render.gaussians import Gaussians

TILE = "model.glb"
# Rasterizers draw a Gaussian so many standard deviations wide.
REACH = 3.0
# Viewers read it as metres above the ellipsoid. Where the photos' EXIF means sea level, the model stands too
# low or too high by the geoid's height there, at most 100 m, all of it alike.
HEIGHTS = (
    "Heights are those of georef.json: above the WGS 84 ellipsoid only where the photos' EXIF or the ground "
    "control were. Where the model stands above or below the terrain, raise it by the tileset's modelMatrix."
)


def write_tileset(path: Path, gaussians: Gaussians, upright: Gaussians, origin: Origin | None) -> None:
    """Write a tileset to `path`, and its tile beside it; the folder is made.

    Args:
        gaussians: metres east, north and up of `origin`.
        upright: the same in y-up axes, as the tile has them.
        origin: None where nothing tells it.

    Raises:
        DoesNotFitError: without an origin, and as `write_packed_gltf`; nothing is written then.
    """
    if origin is None:
        raise DoesNotFitError("nothing tells where on Earth the model is")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_packed_gltf(path.with_name(TILE), upright)
    path.write_text(json.dumps(_tileset(gaussians, origin), indent=1))


def _tileset(gaussians: Gaussians, origin: Origin) -> dict[str, Any]:
    low, high = bounds(gaussians)
    return {
        "asset": {"version": "1.1", "generator": GENERATOR, "extras": {"heights": HEIGHTS}},
        # CesiumJS takes a tile for Gaussians only where the tileset says so beforehand.
        "extensionsUsed": ["3DTILES_content_gltf"],
        "extensions": {
            "3DTILES_content_gltf": {
                "extensionsUsed": [SPLATTING, SPZ_PACKED],
                "extensionsRequired": [SPLATTING, SPZ_PACKED],
            }
        },
        # In metres: what is amiss without the tile is all of it, and with it nothing.
        "geometricError": float(np.linalg.norm(high - low)),
        "root": {
            # By columns. Readers turn the tile's y-up axes to z-up themselves.
            "transform": east_north_up_to_fixed(origin).T.ravel().tolist(),
            "boundingVolume": {"box": _box(low, high)},
            "geometricError": 0.0,
            "refine": "REPLACE",
            "content": {"uri": TILE},
        },
    }


def bounds(gaussians: Gaussians) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest coordinates (3,) that any Gaussian reaches, metres."""
    axes = Rotation.from_quat(gaussians.quats[:, [1, 2, 3, 0]].astype(np.float64)).as_matrix()
    variances = np.einsum("nij,nj->ni", axes**2, gaussians.scales.astype(np.float64) ** 2)
    reach = REACH * np.sqrt(variances)
    return (gaussians.means - reach).min(axis=0), (gaussians.means + reach).max(axis=0)


def _box(low: NDArray[np.float64], high: NDArray[np.float64]) -> list[float]:
    """The middle, then half of each edge."""
    return [*((low + high) / 2).tolist(), *np.diag((high - low) / 2).ravel().tolist()]
