"""The XMP packet of a photo: where the camera pointed and how high it was, by the drone's own sensors.

Names and forms are those that DJI's drones write (attributes in the namespace `drone-dji`, signs written
out), which is what photogrammetry programs look for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The packet's wrapper: XMP specification part 1, 7.3.2; the id is a constant of that standard.
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"
   drone-dji:AbsoluteAltitude="{absolute:+.2f}"
   drone-dji:RelativeAltitude="{relative:+.2f}"
   drone-dji:GimbalRollDegree="{roll:+.2f}"
   drone-dji:GimbalYawDegree="{yaw:+.2f}"
   drone-dji:GimbalPitchDegree="{pitch:+.2f}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class GimbalAngles:
    """Where a camera points, degrees.

    Attributes:
        yaw: heading clockwise from north, -180 to 180.
        pitch: above the horizon; -90 looks straight down.
        roll: clockwise about the viewing direction.
    """

    yaw: float
    pitch: float
    roll: float


def gimbal_angles(rotation: NDArray[np.float64]) -> GimbalAngles:
    """The angles of a world-to-camera rotation (3, 3) that does not look exactly straight down or up.

    World axes are east, north, up; the camera's x right, y down, z forward.
    """
    right, down, view = rotation
    return GimbalAngles(
        yaw=float(np.degrees(np.arctan2(view[0], view[1]))),
        pitch=float(np.degrees(np.arcsin(view[2]))),
        roll=float(np.degrees(np.arctan2(-right[2], -down[2]))),
    )


def make_xmp(gimbal: GimbalAngles, relative: float, absolute: float) -> bytes:
    """The packet; `relative` to the take-off point and `absolute` (GPS) altitude in metres."""
    yaw = (gimbal.yaw + 180.0) % 360.0 - 180.0
    return _PACKET.format(
        absolute=absolute, relative=relative, yaw=yaw, pitch=gimbal.pitch, roll=gimbal.roll
    ).encode()
