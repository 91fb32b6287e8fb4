"""What SfM found out that is no single number, in words: the lenses, ground control, the steps' times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spaceport.quality import ControlNumbers, Lens, SfmNumbers
from spaceport.report_times import in_words

# The share of the focal length up to which its uncertainty matters to nobody: 2 cm in a house of 10 m.
WELL_KNOWN = 0.002
# Up to here it matters to who measures, above to everyone who looks: half a metre in 10 m.
WELL_ENOUGH = 0.02

# The phases of the SfM program, as a pilot would say them.
PHASES = {
    "photos": "Reading the photos",
    "features": "Finding features",
    "matching": "Matching photos",
    "mapping": "Placing the photos",
    "matching_more": "Matching those left over",
    "mapping_more": "Placing those left over",
    "refinement": "Refining the model",
    "placement": "Placing the model on Earth",
    "undistortion": "Removing lens distortion",
    "seeds": "Points by stereo",
}

CONTROL_ROLES = {"used": "holds the model", "check": "only checks it", "rejected": "left out"}


@dataclass(frozen=True)
class LensWords:
    """One lens: `name`, `focal` with its unit, and `told`, how sure that is and what EXIF says."""

    name: str
    focal: str
    told: str


@dataclass(frozen=True)
class PhaseWords:
    """One step of SfM: its name, wall time and CPU time in words."""

    name: str
    time: str
    cpu_time: str


def lenses(sfm: SfmNumbers) -> Sequence[LensWords]:
    """In the report's order; empty where it tells of none."""
    return [
        LensWords(
            name=f"{lens.camera or 'Unnamed camera'}, {lens.photos} photo{'s' if lens.photos != 1 else ''}",
            focal=f"{lens.focal_px:,.0f} px",
            told=" ".join(filter(None, [_certainty(lens), _against_exif(lens)])),
        )
        for lens in sfm.lenses
    ]


def phases(sfm: SfmNumbers) -> Sequence[PhaseWords]:
    """In the order they ran; empty where the report tells of none."""
    return [
        PhaseWords(PHASES.get(phase.name, phase.name), in_words(phase.seconds), in_words(phase.cpu_seconds))
        for phase in sfm.phases
    ]


def control_words(control: ControlNumbers) -> str:
    """How well the ground control points fit, in two or three sentences."""
    level, up = control.rms_horizontal_m, control.rms_vertical_m
    fits = (
        f"The model rests on {_points(control.used)}, and misses them by {level:.2f} m level, {up:.2f} m up."
    )
    if control.check_rms_horizontal_m is not None and control.check_rms_vertical_m is not None:
        return (
            f"{fits} {_points(control.check)} did not take part; there it is off by "
            f"{control.check_rms_horizontal_m:.2f} m level, {control.check_rms_vertical_m:.2f} m up. "
            "That is how exact the model is."
        )
    if control.left_out_rms_horizontal_m is not None and control.left_out_rms_vertical_m is not None:
        return (
            f"{fits} Laid on all but one of them, it is off at that one by "
            f"{control.left_out_rms_horizontal_m:.2f} m level, {control.left_out_rms_vertical_m:.2f} m up. "
            "That is about how exact the model is; check points would tell for sure."
        )
    return f"{fits} No point was left over to check it with: how exact it is elsewhere nobody measured."


def _points(names: Sequence[str]) -> str:
    return f"{len(names)} point{'s' if len(names) != 1 else ''} ({', '.join(names)})"


def _certainty(lens: Lens) -> str:
    if lens.focal_sigma_px is None:
        return "How sure that is could not be told."
    share = lens.focal_sigma_px / lens.focal_px
    known = f"Known to ±{lens.focal_sigma_px:.1f} px ({100 * share:.2g} %)"
    if share <= WELL_KNOWN:
        return f"{known}: heights can be trusted."
    # In a view from above a longer lens and a lower ground look the same.
    uncertain = f"{known}: heights are uncertain by that share too, {100 * share:.2g} cm in each metre."
    return uncertain if share <= WELL_ENOUGH else f"{uncertain} Some oblique photos would settle it."


def _against_exif(lens: Lens) -> str:
    if lens.focal_prior_px is None:
        return "The photos’ EXIF says nothing of it."
    longer = lens.focal_px / lens.focal_prior_px - 1
    share = f"{100 * abs(longer):.1f}"
    differs = "" if share == "0.0" else f", {share} % {'less' if longer > 0 else 'more'}"
    return f"EXIF makes it {lens.focal_prior_px:,.0f} px{differs}."
