"""The smallest file that still looks like the trained model: decided by looking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spaceport.progress import Progress
from spaceport_compressor.judging.fidelity import Reference, measure_fidelity
from spaceport_compressor.sog.precision import LADDER, Precision
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians


def write_smallest(
    path: Path,
    trained: Gaussians,
    cameras: Sequence[Camera],
    references: Sequence[Reference],
    *,
    seed: int,
    progress: Progress,
) -> Precision:
    """Write `trained` to `path` at the first precision of the ladder that is good enough.

    Where none is, the most faithful one stays, and the report tells by how much it misses.

    Args:
        cameras: those of the photos trained on.
        references: where to look; like the cameras never held-out ones, which must not steer anything.

    Returns:
        The precision of the file that was left.
    """
    for tried, precision in enumerate(LADDER):
        progress(tried / len(LADDER), "Packing the model for the web")
        write_sog(path, trained, cameras, precision, seed)
        if measure_fidelity(read_sog(path), references).good_enough:
            break
    return precision
