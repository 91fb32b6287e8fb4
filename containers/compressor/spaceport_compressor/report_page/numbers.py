"""Every number of `quality.json` in words: what it is, its unit, and how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from spaceport.quality import ModelQuality
from spaceport.report_times import in_words

NO_GPS = "no GPS in the photos, too little of it, or all photos in one line"
NO_HOLDOUT = "no photo was held out; every 8th is from 24 photos on, or with the setting holdout=8"
NO_PHOTOS = "the photos were not at hand"
# Why a value is null, by the part of the report or the field.
ABSENT = {"georef": NO_GPS, "training": NO_HOLDOUT, "delivery": NO_PHOTOS}
STOPPED_BY = {
    "max_iterations": "all iterations were used",
    "plateau": "the PSNR no longer rose",
    "target_psnr": "the asked PSNR was reached",
}
RESTS_ON = {"gps": "the photos’ GPS", "ground_control": "ground control points"}


@dataclass(frozen=True)
class Meaning:
    """How one number is told.

    Attributes:
        path: the field in `quality.json`, dotted.
        form: from the value to its text, unit included.
        told: what it says and what is good; may be empty where the name says it all.
        rare: only some jobs have it, and others don't miss it: no row where it is null or zero.
    """

    path: str
    name: str
    form: Callable[[Any], str]
    told: str = ""
    rare: bool = False


@dataclass(frozen=True)
class Number:
    """One row of the page. `value` is None where nothing was measured, then `absent` says why."""

    name: str
    value: str | None
    absent: str
    told: str


@dataclass(frozen=True)
class Group:
    title: str
    numbers: tuple[Number, ...]


def size(count: float) -> str:
    """A number of bytes, powers of 1000 as file managers have them."""
    for unit in ("bytes", "kB", "MB"):
        if round(count) < 1000:  # 999.6 would be written 1e+03
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def percent(share: float) -> str:
    """`share` of 1 in per cent, whole."""
    return f"{100 * share:.0f} %"


def _decimals(digits: int, unit: str = "") -> Callable[[float], str]:
    # Rounding first and adding zero: a rounded nothing has no sign.
    return lambda value: f"{round(value, digits) + 0.0:,.{digits}f}{unit}"


_count = _decimals(0)
_db = _decimals(2, " dB")

MEANINGS: dict[str, tuple[Meaning, ...]] = {
    "Photos and camera poses": (
        Meaning("photos.given", "Photos given", _count, "in the zip, the refused ones included"),
        Meaning(
            "photos.registered",
            "Photos registered",
            _count,
            "those whose place and direction could be found; all of them is normal for a good flight",
        ),
        Meaning(
            "sfm.reprojection_px",
            "Reprojection error",
            _decimals(2, " px"),
            "how far points fall from where the photos show them; below 0.5 is sharp, above 1 points to "
            "motion blur, a rolling shutter or moving things",
        ),
        Meaning(
            "sfm.points",
            "Points found",
            _count,
            "matched between photos; water and canopy give few",
        ),
        Meaning(
            "sfm.mean_track",
            "Photos per point",
            _decimals(1),
            "in how many photos a point was found; below 3 the overlap is small",
        ),
        Meaning(
            "sfm.dense_seeds",
            "Points by stereo",
            _count,
            "found in addition where photos have no corners to match: lawn, roofs, canopy",
            rare=True,
        ),
        Meaning("sfm.seconds", "Time for the poses", in_words),
        Meaning("sfm.cpu_seconds", "CPU time for the poses", in_words, "summed over the cores"),
    ),
    "Place on Earth": (
        Meaning(
            "georef.rms_horizontal_m",
            "Off the GPS, level",
            _decimals(2, " m"),
            "root mean square between the cameras and their photos’ GPS: how well both agree, not how exact "
            "the GPS was. A plain drone’s is metres off the truth, an RTK drone’s centimetres. Where no "
            "photo has GPS, off the control points",
        ),
        Meaning("georef.rms_vertical_m", "Off the GPS, up", _decimals(2, " m"), "the same, up and down"),
        Meaning(
            "georef.origin.lat",
            "Latitude of the origin",
            _decimals(6, "°"),
            "WGS 84, of the model’s zero",
        ),
        Meaning("georef.origin.lon", "Longitude", _decimals(6, "°"), "east is positive"),
        Meaning("georef.origin.alt", "Altitude", _decimals(1, " m"), "as EXIF or the control points have it"),
        Meaning(
            "georef.source",
            "Rests on",
            lambda source: RESTS_ON.get(source, source),
            "what the model’s place, size and north were taken from",
            rare=True,
        ),
        Meaning(
            "georef.control.rms_horizontal_m",
            "Off the control points, level",
            _decimals(3, " m"),
            "root mean square at the points that the model was laid on",
            rare=True,
        ),
        Meaning(
            "georef.control.rms_vertical_m",
            "Off the control points, up",
            _decimals(3, " m"),
            "the same, up and down",
            rare=True,
        ),
        Meaning(
            "georef.control.left_out_rms_horizontal_m",
            "Off a control point left out, level",
            _decimals(3, " m"),
            "each point in turn, by a fit to the others alone",
            rare=True,
        ),
        Meaning(
            "georef.control.left_out_rms_vertical_m",
            "Off a control point left out, up",
            _decimals(3, " m"),
            "the same, up and down",
            rare=True,
        ),
        Meaning(
            "georef.control.check_rms_horizontal_m",
            "Off the check points, level",
            _decimals(3, " m"),
            "at points that took no part: how exact the model is",
            rare=True,
        ),
        Meaning(
            "georef.control.check_rms_vertical_m",
            "Off the check points, up",
            _decimals(3, " m"),
            "the same, up and down",
            rare=True,
        ),
    ),
    "Likeness to the photos, as trained": (
        Meaning(
            "training.psnr_holdout",
            "PSNR, held-out photos",
            _db,
            "likeness from places that training did not know: the honest measure. Each +6 dB halves the "
            "error; aerial scenes reach 22 to 27, below 18 is a blur. As delivered it is lower by what "
            "compression and cleaning lost, below",
        ),
        Meaning(
            "training.psnr_holdout_corrected",
            "PSNR, held-out photos, exposure forgiven",
            _db,
            "after each picture’s colours were fitted to its photo’s by one linear map: far above the value "
            "before it means that photos differ in exposure or white balance. It has looked at the photos: "
            "compare it only with its like",
            rare=True,
        ),
        Meaning(
            "training.ssim_holdout",
            "SSIM, held-out photos",
            _decimals(3),
            "likeness of structure, 1 is equal; above 0.8 is good, below 0.5 fine structure is lost",
        ),
        Meaning(
            "training.detail_holdout",
            "Detail, held-out photos",
            _decimals(2),
            "contrast of fine things over that of the photo: 1 is as detailed, below blurred, above noisy",
        ),
        Meaning(
            "training.psnr_holdout_initial",
            "PSNR before training",
            _db,
            "of the bare points on the same photos: the difference is what training added",
        ),
        Meaning(
            "training.psnr_train",
            "PSNR, training photos",
            _db,
            "on up to 8 of the photos it learnt from. It flatters: far above the held-out value means that "
            "the photos were learnt by heart",
        ),
        Meaning(
            "training.ssim_train",
            "SSIM, training photos",
            _decimals(3),
            "on the same photos it learnt from, and flatters as much",
            rare=True,
        ),
    ),
    "Training": (
        Meaning("training.iterations", "Iterations", _count),
        Meaning(
            "training.batch",
            "Photos an iteration",
            _count,
            "as many as there were GPUs",
        ),
        Meaning("training.stopped_by", "Ended because", lambda rule: STOPPED_BY.get(rule, rule)),
        Meaning(
            "training.gaussians_initial",
            "Gaussians untrained",
            _count,
            "one for each point found; seeds in the gaps come on top",
        ),
        Meaning("training.gaussians", "Gaussians at the end", _count),
        Meaning("training.seconds", "Time for training", in_words),
        Meaning("training.peak_memory_bytes", "Most memory", size, "of the GPU where there is one"),
        Meaning("training.device", "Trained on", str),
        Meaning("training.rasterizer", "Rasterizer", str),
        Meaning(
            "training.fps",
            "Speed of drawing",
            _decimals(1, " pictures a second"),
            "on that device, as large as the training photos; a viewer’s GPU has its own speed",
            rare=True,
        ),
        Meaning("training.preset", "Preset", str),
    ),
    "Delivered file": (
        Meaning("delivery.sog_bytes", "model.sog", size, "what a viewer downloads"),
        Meaning("delivery.ply_bytes", "model.ply as trained", size, "uncompressed, before it was cleaned"),
        Meaning("delivery.gaussians", "Gaussians delivered", _count),
        Meaning(
            "delivery.bytes_per_gaussian",
            "Size of a Gaussian",
            _decimals(1, " bytes"),
            "236 in model.ply",
        ),
        Meaning(
            "delivery.psnr_loss_db",
            "Lost by compression",
            _db,
            "how much lower the delivered file’s PSNR against the photos is than before it was packed; 0.1 "
            "is the most we aim for",
        ),
        Meaning(
            "delivery.cleaning_loss_db",
            "Lost by cleaning",
            _db,
            "the same of what was cleaned away before; below zero the photos agree that it was wrong",
            rare=True,
        ),
        Meaning(
            "delivery.decode_psnr_db",
            "Delivered against packed",
            _decimals(1, " dB"),
            "pictures of the file against pictures of the cleaned model that it packs; above 40 no eye sees "
            "a difference",
        ),
    ),
}


def read_out(quality: ModelQuality) -> tuple[Group, ...]:
    """All numbers of `quality`, grouped as MEANINGS is; stage times and lists have places of their own.

    A stage whose report was not given has no rows.
    """
    groups = (
        Group(
            title,
            tuple(
                _number(meaning, value)
                for meaning in meanings
                if (value := _value(quality, meaning.path)) or not (meaning.rare or _untold(quality, meaning))
            ),
        )
        for title, meanings in MEANINGS.items()
    )
    return tuple(group for group in groups if group.numbers)


def _untold(quality: ModelQuality, meaning: Meaning) -> bool:
    """Whether this number's stage said nothing at all. The place on Earth is a part of SfM's report."""
    part = meaning.path.partition(".")[0]
    return getattr(quality, "sfm" if part == "georef" else part) is None


def _value(quality: ModelQuality, path: str) -> Any:
    return reduce(lambda part, name: None if part is None else getattr(part, name), path.split("."), quality)


def _number(meaning: Meaning, value: Any) -> Number:
    return Number(
        name=meaning.name,
        value=None if value is None else meaning.form(value),
        absent=ABSENT.get(meaning.path.partition(".")[0], ""),
        told=meaning.told,
    )
