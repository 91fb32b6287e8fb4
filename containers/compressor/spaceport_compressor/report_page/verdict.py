"""How good the model is, in plain words: a sentence for the head of the page, its grounds, four figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spaceport.quality import DeliveryNumbers, GeorefNumbers, ModelQuality, Photos, TrainingReport
from spaceport_compressor.report_page.numbers import percent, size

# What held-out PSNR (dB) looks like on aerial photos, best first. Published aerial scenes reach 22 to 27; on
# brighton 17.4 is tree tops as a blur, on the demo flight 26 is roofs with clean edges.
LOOKS = (
    (26.0, "very good", "hardly differs from the photos"),
    (22.0, "good", "looks like the photos, a little softer"),
    (18.0, "fair", "is right in the large, and soft in the small"),
    (15.0, "rough", "is a believable blur: right in the large, without the small"),
    (0.0, "not usable", "does not show what is there"),
)
BLURRED = 0.5  # share of the photos' detail below which it is worth a word of its own


@dataclass(frozen=True)
class Figure:
    """A number large enough to be read from afar: `value` and `unit`, what it is, and a word of judgement."""

    value: str
    unit: str
    what: str
    word: str


def verdict(quality: ModelQuality) -> str:
    """The one sentence to read."""
    if quality.training is None:
        return _unjudged(quality.delivery)
    return _likeness(_as_delivered(quality.training, quality.delivery))


def grounds(quality: ModelQuality) -> str:
    """A few sentences on what the model rests on, and what became of it."""
    sentences = [
        _placed(quality.photos) if quality.photos else None,
        _geo(quality.georef) if quality.sfm else None,
        _packed(quality.delivery),
    ]
    return " ".join(filter(None, sentences))


def figures(quality: ModelQuality) -> Sequence[Figure]:
    """Four of them, where that many can be told."""
    photos, training, delivery = quality.photos, quality.training, quality.delivery
    told = (
        photos and _registered(photos),
        training and _psnr(_as_delivered(training, delivery)),
        quality.sfm and _off(quality.georef),
        Figure(*size(delivery.sog_bytes).split(), "model.sog", f"{delivery.gaussians:,} Gaussians"),
        Figure(f"{delivery.ply_bytes / delivery.sog_bytes:.0f}", "times", "smaller than model.ply", ""),
        Figure(
            f"{delivery.decode_psnr_db:.1f}", "dB", "delivered against packed", "above 40: no eye sees it"
        ),
    )
    return tuple(figure for figure in told if figure)[:4]


def _as_delivered(training: TrainingReport, delivery: DeliveryNumbers) -> TrainingReport:
    """`training` with what its PSNR came to in the delivered file, which lost it on the very same photos."""
    lost = delivery.lost_db or 0.0  # none where the photos were not at hand
    held_out = training.psnr_holdout
    told = {
        "psnr_train": training.psnr_train - lost,
        "psnr_holdout": None if held_out is None else held_out - lost,
    }
    return training.model_copy(update=told)


def _registered(photos: Photos) -> Figure:
    word = "all of them"
    if (left_out := photos.given - photos.registered) > 0:
        word = f"{left_out} left out, see below"
    return Figure(f"{photos.registered}", f"of {photos.given}", "photos registered", word)


def _psnr(training: TrainingReport) -> Figure:
    if training.psnr_holdout is None:
        return Figure(
            f"{training.psnr_train:.1f}", "dB", "PSNR as delivered", "on training photos, which flatter"
        )
    word = f"on held-out photos: {_look(training.psnr_holdout)[0]}"
    return Figure(f"{training.psnr_holdout:.1f}", "dB", "PSNR as delivered", word)


def _off(georef: GeorefNumbers | None) -> Figure:
    if georef is None:
        return Figure("–", "", "off the GPS", "no GPS: no sure scale, no north")
    if (control := georef.control) is None:
        return Figure(f"{georef.rms_horizontal_m:.2f}", "m", "off the GPS, level", "agreement, not accuracy")
    if (off := control.check_rms_horizontal_m) is not None:
        return Figure(f"{off:.2f}", "m", "off the check points, level", "its accuracy")
    if (off := control.left_out_rms_horizontal_m) is not None:
        return Figure(f"{off:.2f}", "m", "off a control point left out", "about its accuracy")
    return Figure(
        f"{control.rms_horizontal_m:.2f}", "m", "off the control points, level", "nothing to check with"
    )


def _placed(photos: Photos) -> str:
    if photos.registered == photos.given:
        return f"All {photos.given} photos found their place."
    refused, lost = len(photos.refused), photos.given - photos.registered - len(photos.refused)
    why = [f"{refused} refused"] if refused else []
    why += [f"{lost} fitted nowhere"] if lost > 0 else []
    return f"{photos.registered} of {photos.given} photos found their place ({', '.join(why)})."


def _likeness(training: TrainingReport) -> str:
    if training.psnr_holdout is None and training.psnr_train < LOOKS[-2][0]:
        return f"Even on photos it learnt from it reaches {training.psnr_train:.1f} dB only: no usable model."
    if training.psnr_holdout is None:
        return (
            "How it looks from new places was not measured; on photos it learnt from the delivered model "
            f"reaches {training.psnr_train:.1f} dB, which flatters."
        )
    _, looks = _look(training.psnr_holdout)
    detail = training.detail_holdout
    lacks = f", {percent(detail)} of the photos’ detail" if detail is not None and detail < BLURRED else ""
    return f"From places it never saw, the model {looks} ({training.psnr_holdout:.1f} dB{lacks})."


def _geo(georef: GeorefNumbers | None) -> str:
    if georef is None:
        return "It has no sure scale and no north, for want of usable GPS."
    if (control := georef.control) is None:
        rests = f"the flight fits its GPS to {georef.rms_horizontal_m:.2f} m"
    else:
        off = control.check_rms_horizontal_m
        checked = "" if off is None else f", {off:.2f} m off the check points"
        rests = f"it rests on {len(control.used)} ground control points{checked}"
    return f"It is to scale and north is known: {rests}."


def _look(psnr_db: float) -> tuple[str, str]:
    return next((word, looks) for least, word, looks in LOOKS if psnr_db >= least or least == 0.0)


def _unjudged(delivery: DeliveryNumbers) -> str:
    return (
        "The delivered file shows the model, less what was cleaned away, to "
        f"{delivery.decode_psnr_db:.1f} dB; how like its photos that is, its trainer did not say."
    )


def _packed(delivery: DeliveryNumbers) -> str:
    smaller = f"{delivery.ply_bytes / delivery.sog_bytes:.0f} times smaller than it was trained"
    if delivery.lost_db is None:
        return f"The file for the web is {smaller}."
    lost = round(delivery.lost_db, 2) + 0.0  # a rounded nothing has no sign
    cost = f"costs {lost:.2f} dB on the photos" if lost > 0 else "costs nothing that could be measured"
    return f"The file for the web is {smaller}, which {cost}."
