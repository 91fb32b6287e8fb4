"""What the pilot should know of how a model was laid on Earth, and can do better next time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from spaceport.quality import Advice
from spaceport_sfm.placement.consensus import MIN_POSITIONS
from spaceport_sfm.placement.gcp_list import GroundControl
from spaceport_sfm.placement.georegistration import GpsRegistration
from spaceport_sfm.placement.ground_control import SHIFT_TOLD_M, ControlRegistration, UnusableControlError

NAMED = 3  # photos or points that an advice names; georef.json has them all


class Size(StrEnum):
    """What a model without a place on Earth is measured in."""

    BAROMETER = "metres are by the barometer's height above take-off, right to some 20 % over level ground"
    VIEWING_DISTANCE = "its size is unknown: one unit is the usual distance from a camera to what it sees"


def told_of_no_place(located: int, size: Size) -> Advice:
    """For a model that stands upright but has no place; `located` of its photos carry GPS."""
    if located == 0:
        code, where = "no_gps", "No photo carries GPS"
        hint = "Switch on the camera's GPS, or add ground control points in gcp_list.txt."
    else:
        code, hint = (
            "gps_too_little",
            "Fly lines at least 30 m long with GPS on, or add ground control points.",
        )
        where = f"The GPS of {located} photos says too little to tell place, scale and direction"
        if located < MIN_POSITIONS:
            where = f"Only {located} of the photos carry GPS, {MIN_POSITIONS} are needed"
    message = f"{where}: the model stands upright by its cameras' level, without place and north, and {size}."
    return Advice(code=code, message=message, hint=hint)


def told_of_unusable_control(error: UnusableControlError) -> Advice:
    """For ground control that was given but not used."""
    return Advice(
        code="ground_control_unused",
        message=f"The ground control points were not used: {error}.",
        hint="Mark each point in three photos or more, spread the points over the site, and check the first "
        "line of gcp_list.txt.",
    )


def told_of_control(control: GroundControl, found: ControlRegistration) -> list[Advice]:
    """For a model placed by ground control."""
    told = []
    if rejected := found.numbers.rejected:
        named = "; ".join(rejected[:NAMED])
        more = f"; and {len(rejected) - NAMED} more" if len(rejected) > NAMED else ""
        told.append(
            Advice(
                code="ground_control_contradicts",
                message=f"Of the ground control this was left out: {named}{more}.",
                hint="Correct these lines of gcp_list.txt and send the photos again.",
            )
        )
    aside = 0.0 if found.shift is None else float(np.linalg.norm(found.shift[:2]))
    if aside > SHIFT_TOLD_M:
        told.append(
            Advice(
                code="ground_control_shifted",
                message=f"Ground control and the photos' GPS lie {aside:.0f} m apart: ground control was "
                "believed.",
                hint="Check that the first line of gcp_list.txt names the datum of the points' coordinates.",
            )
        )
    if control.shift_m is not None:
        known = "not known" if np.isinf(control.shift_m) else f"known to {control.shift_m:g} m"
        told.append(
            Advice(
                code="datum_shift",
                message=f"The way from the ground control's datum to WGS 84 is {known}: the model as a whole "
                "may lie off by so much in WGS 84; distances in it don't suffer.",
                hint="Give the points in WGS 84 or a UTM zone of it where that matters.",
            )
        )
    return told


def told_of_gps(gps: GpsRegistration, sources: Mapping[str, str]) -> list[Advice]:
    """For a model placed by GPS; `sources` are the photos' full names by those in the model."""
    told = []
    if gps.positions_rejected:
        told.append(
            Advice(
                code="gps_contradicts",
                message=f"The GPS of {_listed(gps.positions_rejected, sources)} contradicts the others' "
                "and was left out.",
                hint="Wait for a full GPS fix before the first photo, and leave out photos of other places.",
            )
        )
    if gps.altitudes_rejected:
        told.append(
            Advice(
                code="gps_altitudes_contradict",
                message=f"The GPS altitude of {_listed(gps.altitudes_rejected, sources)} contradicts the "
                "others': heights follow the larger group, or one of two as large.",
                hint="Fly a site in one go, or give ground control points: drones set their altitude anew "
                "with each battery.",
            )
        )
    if gps.fit.up_is_gravity:
        told.append(
            Advice(
                code="single_line",
                message="All photos lie on one line: which way is up across it comes from the cameras' own "
                "level, right to a degree or two.",
                hint="Fly a second line beside the first, or give ground control points.",
            )
        )
    if gps.fit.askew is not None:
        told.append(
            Advice(
                code="cameras_askew",
                message=f"Up by the cameras and up by GPS differ by {np.degrees(gps.fit.askew):.0f}°: GPS "
                "was believed.",
                hint="Calibrate the gimbal; with a hand-held camera, don't mind.",
            )
        )
    return told


def _listed(names: Sequence[str], sources: Mapping[str, str]) -> str:
    shown = ", ".join(sources[name] for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more photos"
