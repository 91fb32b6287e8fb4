"""Whether a model lies near its zero: viewers tell places far from it apart only coarsely."""

from __future__ import annotations

import numpy as np

from spaceport.errors import UserError
from spaceport_render.gaussians import Gaussians

# Share of a usual Gaussian's size that steps may have: brighton's pictures with places rounded to an eighth
# of it are 50 dB near, to all of it 35, and 40 are promised.
COARSE = 0.25
# As far off as this many times its own size, the model could lie nearer; else its size is the reason.
AFAR = 10.0


def check_near_origin(gaussians: Gaussians, model: str) -> None:
    """Refuse a model in coordinates such as UTM's, where the 24 bits that viewers compute with are metres.

    Args:
        gaussians: at least one.
        model: its name, for the message.

    Raises:
        UserError: `far_from_origin`.
    """
    middle = np.median(gaussians.means, axis=0).astype(np.float64)
    reach = float(np.median(np.linalg.norm(gaussians.means - middle, axis=1)))
    afar = float(np.abs(middle).max())
    # A SOG holds log(1 + x), which viewers read as float32; the derivative of its inverse is 1 + x.
    step = (1 + afar) * float(np.spacing(np.float32(np.log1p(afar))))
    usual = float(np.median(np.sort(gaussians.scales, axis=1)[:, 1]))
    if afar > AFAR * reach and step > COARSE * usual:
        offset = ", ".join(f"{round(place, -2) + 0.0:,.0f}" for place in middle)
        raise UserError(
            "far_from_origin",
            f"{model} can't be delivered: its middle is {afar:,.0f} from its zero, where viewers tell places "
            f"apart by steps of {step:.2g}, and its Gaussians are of {usual:.2g}.",
            f"Subtract ({offset}) from all its places, and from the poses and points of its scene; best "
            "before training.",
        )
