"""The numbers that tell how good a model is: what each stage measured, and `quality.json`, their sum.

Seconds are wall time, PSNR is in dB, sizes are in bytes, distances in metres, errors in pixels of the
photos that SfM worked on. A value that could not be measured is null, never a guess. JSON has no NaN and no
infinity: what came out as either is null, too, and NaN where it is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, nan
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Where each stage leaves its report for the compression stage, relative to its own output.
SFM_REPORT = "sfm.json"
TRAINING_REPORT = "metrics.json"
QUALITY_REPORT = "quality.json"

# A number that every report of its kind has. What some run could not tell must not cost its model.
Measured = Annotated[float, BeforeValidator(lambda value: nan if value is None else value)]


class _Report(BaseModel):
    # What only a newer image measures is passed on as it is: it must not cost a run whose work is done.
    model_config = ConfigDict(extra="allow", frozen=True)


class RefusedPhoto(_Report):
    """A photo that was left out: its name in the zip, a stable code, and the reason in words."""

    name: str
    code: str
    reason: str


class PhotoWarning(_Report):
    """A photo that was used although something is wrong with it: as `RefusedPhoto`."""

    name: str
    code: str
    reason: str


class Photos(_Report):
    """What became of the photos; names are those in the zip. Lists are empty in older reports.

    Attributes:
        refused: left out before the reconstruction.
        warned: used, although blurred or the like.
        unregistered: good photos that fitted nowhere.
    """

    given: int
    refused: list[RefusedPhoto]
    registered: int
    warned: list[PhotoWarning] = Field(default_factory=list)
    unregistered: list[str] = Field(default_factory=list)


class Lens(_Report):
    """What was found out about one camera: photos of one body, lens, focal length and size share it.

    Attributes:
        camera: body and lens in words.
        photos: how many registered photos it took.
        focal_px: mean focal length as delivered, pixels of the photos that SfM worked on.
        focal_prior_px: what EXIF or XMP says of it.
        focal_sigma_px: its standard deviation; null where it could not be told.
    """

    camera: str
    photos: int
    focal_px: Measured
    focal_prior_px: float | None = None
    focal_sigma_px: float | None = None


class PhaseNumbers(_Report):
    """Time of one phase of SfM; a resumed run has the phases of both runs."""

    name: str
    seconds: Measured
    cpu_seconds: Measured


class SfmNumbers(_Report):
    """`other_models`: photos in each of the models that could not be joined with the delivered one."""

    seconds: Measured
    cpu_seconds: Measured
    reprojection_px: Measured
    points: int
    mean_track: Measured
    phases: list[PhaseNumbers] = Field(default_factory=list)
    lenses: list[Lens] = Field(default_factory=list)
    other_models: list[int] = Field(default_factory=list)
    dense_seeds: int = 0


class Origin(_Report):
    """Where the local frame's zero is, WGS 84: degrees and metres, the altitude as the EXIF has it."""

    lat: Measured
    lon: Measured
    alt: Measured


class ControlPointNumbers(_Report):
    """One ground control point: where it was measured, and how far from there the model has it.

    Attributes:
        role: `used` ones hold the model, `check` ones were only measured against, `rejected` ones contradict
            the others.
        lat, lon: degrees, WGS 84.
        alt: as measured, metres; null where it was not.
        place: the same in the model's frame, metres east, north and up; without a measured height the
            model's own.
        off: metres east, north and up from `place` to where the model has the point.
    """

    name: str
    role: Literal["used", "check", "rejected"]
    lat: Measured
    lon: Measured
    alt: float | None
    place: tuple[Measured, Measured, Measured]
    off: tuple[Measured, Measured, Measured]


class ControlNumbers(_Report):
    """How well ground control points fit: residuals of those used and, independent, of check points.

    Attributes:
        points: those that were found in the model; empty in older reports.
        used: names of the points that the registration rests on.
        check: names of the points that were only measured against; their errors are null without any.
        left_out_rms_horizontal_m, left_out_rms_vertical_m: how far off each used point is by a fit to the
            others alone; null with fewer than four.
        rejected: each observation or point that contradicts the others, in words.
    """

    used: list[str]
    rms_horizontal_m: Measured
    rms_vertical_m: Measured
    check: list[str] = Field(default_factory=list)
    check_rms_horizontal_m: float | None = None
    check_rms_vertical_m: float | None = None
    left_out_rms_horizontal_m: float | None = None
    left_out_rms_vertical_m: float | None = None
    rejected: list[str] = Field(default_factory=list)
    points: list[ControlPointNumbers] = Field(default_factory=list)


class GeorefNumbers(_Report):
    """How the model was laid on Earth: residuals of the cameras' GPS, and of ground control where given.

    `source` is what the place, scale and direction rest on. Without GPS the residuals are those of ground
    control.
    """

    rms_horizontal_m: Measured
    rms_vertical_m: Measured
    origin: Origin
    source: Literal["gps", "ground_control"] = "gps"
    control: ControlNumbers | None = None


class Advice(_Report):
    """What the pilot can do better next time: a stable code, what was seen, and what to do."""

    code: str
    message: str
    hint: str

    @property
    def text(self) -> str:
        """Both sentences, as they are shown."""
        return f"{self.message} {self.hint}"


class SfmReport(_Report):
    """`sfm.json`, beside `sparse/` and `dense/`. `georef` is null where GPS says too little."""

    photos: Photos
    sfm: SfmNumbers
    georef: GeorefNumbers | None
    advice: list[Advice] = Field(default_factory=list)


class ViewNumbers(_Report):
    """How near the render of one view is to its photo.

    Attributes:
        name: the photo's.
        psnr: dB, at most 100.
        psnr_corrected: the same after the render's colours were fitted to the photo's by least squares.
        ssim: 1 is equal.
        detail: contrast of fine things over that of the photo.
    """

    name: str
    psnr: Measured
    psnr_corrected: Measured
    ssim: Measured
    detail: Measured


class Incident(_Report):
    """Something that went wrong in training but did not end it: in which iteration, and what was done."""

    iteration: int
    what: str
    done: str


class TrainingReport(_Report):
    """`metrics.json`. Held-out values are null where no photo was held out.

    `*_initial` are the same measures of the untrained splat of the SfM points, so that anyone
    can see what training added. What has a default is not in older reports.

    Attributes:
        psnr_train, ssim_train: over the fixed subset of the training photos.
        psnr_holdout_corrected: the mean of the views' `psnr_corrected`: what is left where a photo's exposure
            and white balance are forgiven. It has looked at the held-out photos, so it is no measure of what
            a viewer sees, and can only be compared with others like it.
        views: of the held-out photos, else of the fixed subset.
        fps: pictures a second on `device`, as large as the training photos: 1 / the median time of one.
        incidents: what went wrong and was mended.
        batch: photos an iteration: as many as there were GPUs.
    """

    seconds: Measured
    iterations: int
    stopped_by: str  # max_iterations | plateau | target_psnr
    gaussians: int
    gaussians_initial: int
    psnr_train: Measured
    psnr_holdout: float | None
    ssim_holdout: float | None
    detail_holdout: float | None
    psnr_holdout_initial: float | None
    holdout: list[str]
    device: str
    rasterizer: str
    preset: str
    peak_memory_bytes: int
    psnr_holdout_corrected: float | None = None
    ssim_train: float | None = None
    views: list[ViewNumbers] = Field(default_factory=list)
    fps: float | None = None
    incidents: list[Incident] = Field(default_factory=list)
    batch: int = 1


class RemovedGaussians(_Report):
    """How many Gaussians of the trained model were not worth delivering, by the rule that took them first.

    Attributes:
        broken: with numbers that no renderer can draw.
        invisible: fainter than any renderer draws.
        duplicates: the same as another, which now covers for both.
        fog: so large that the drone flew through them.
        above: floaters high over all that stands on the ground.
        below: so far under the ground that no photo could see them.
        isolated: floaters with nothing around them that the photos hardly show.
        outside: beyond the flown area.
    """

    broken: int = 0
    invisible: int = 0
    duplicates: int = 0
    fog: int = 0
    above: int = 0
    below: int = 0
    isolated: int = 0
    outside: int = 0

    @property
    def total(self) -> int:
        return sum(self.model_dump().values())


class Candidate(_Report):
    """One file that could have been delivered, measured at the training cameras that choose among them.

    Attributes:
        name: how it was made, in words.
        sog_bytes: its size.
        gaussians: how many it keeps.
        harmonics: bands of view-dependent colour that it keeps, 0 to 3.
        decode_psnr_db: PSNR of its renders against those of the cleaned model that it packs.
        psnr_loss_db: how much lower its PSNR against the photos is; negative: higher; null without photos.
        good_enough: whether both are within what may be delivered.
        chosen: the one that was delivered: the smallest that is good enough, else the most faithful one.
    """

    name: str
    sog_bytes: int
    gaussians: int
    harmonics: int
    decode_psnr_db: Measured
    psnr_loss_db: float | None
    good_enough: bool
    chosen: bool = False


class LevelsOfDetail(_Report):
    """The model as streamed SOG, which is read in parts, each as finely as its distance asks.

    Attributes:
        gaussians: of each level, the finest first.
        chunks: parts of space that can be shown at different levels.
        files: folders that hold them, each of one level.
        bytes: of all files together.
    """

    gaussians: list[int]
    chunks: int
    files: int
    bytes: int


class DeliveryNumbers(_Report):
    """What is delivered, and what that costs; sizes in bytes, losses in dB.

    Attributes:
        decode_psnr_db: PSNR of the delivered file's renders against those of the cleaned model that it packs.
        psnr_loss_db: how much lower its PSNR against the photos is than that model's; negative: higher. Null
            where there were no photos to hold the model against.
        gaussians: in the delivered file.
        removed: what was cleaned away before; null in older reports.
        cleaning_loss_db: how much lower the cleaned model's PSNR against the photos is than the trained
            one's, over the same views. Null without photos, and in older reports, whose psnr_loss_db has it
            in it.
        candidates: the files tried, in the order they were; empty in older reports.
        files: the size of each other format, all its files together, by the name of the one to open.
        lod: null where the model is small enough to be read at once.
    """

    ply_bytes: int
    sog_bytes: int
    bytes_per_gaussian: Measured
    decode_psnr_db: Measured
    psnr_loss_db: float | None
    gaussians: int
    removed: RemovedGaussians | None = None
    cleaning_loss_db: float | None = None
    candidates: list[Candidate] = Field(default_factory=list)
    files: dict[str, int] = Field(default_factory=dict)
    lod: LevelsOfDetail | None = None

    @property
    def lost_db(self) -> float | None:
        """How much lower the delivered file's PSNR against the photos is than the trained model's."""
        return None if self.psnr_loss_db is None else self.psnr_loss_db + (self.cleaning_loss_db or 0.0)


class JudgedDelivery(DeliveryNumbers):
    """Of a job, which always has photos."""

    psnr_loss_db: Measured


class ModelQuality(_Report):
    """`quality.json` of any model, whoever trained it: what was not given with it is null.

    Attributes:
        pictures: which of VIDEO and THUMBNAIL (`spaceport.pictures`) lie beside it.
    """

    photos: Photos | None = None
    sfm: SfmNumbers | None = None
    georef: GeorefNumbers | None = None
    training: TrainingReport | None = None
    delivery: DeliveryNumbers
    advice: list[Advice] = Field(default_factory=list)
    pictures: list[str] = Field(default_factory=list)


class QualityReport(ModelQuality):
    """`quality.json` of a job: every stage was done. PublishResult adds `stages` and `total_seconds`."""

    photos: Photos
    sfm: SfmNumbers
    georef: GeorefNumbers | None
    training: TrainingReport
    delivery: JudgedDelivery
    stages: dict[str, float] | None = None
    total_seconds: float | None = None


def not_finite(report: BaseModel) -> list[str]:
    """The places of the numbers in `report` that came out as no number, such as `sfm.mean_track`."""
    return list(_not_finite(report.model_dump(), ""))


def _not_finite(value: Any, place: str) -> Iterator[str]:
    match value:
        case float() if not isfinite(value):
            yield place
        case dict():
            for name, part in value.items():
                yield from _not_finite(part, f"{place}.{name}" if place else f"{name}")
        case list() | tuple():
            for number, part in enumerate(value):
                yield from _not_finite(part, f"{place}.{number}")


def headline(quality: QualityReport) -> dict[str, float]:
    """The numbers that the row shows without opening the report."""
    numbers = {
        "registered": quality.photos.registered,
        "photos": quality.photos.given,
        "gaussians": quality.delivery.gaussians,
        "sog_bytes": quality.delivery.sog_bytes,
        "psnr_train": quality.training.psnr_train,
        "psnr_holdout": quality.training.psnr_holdout,
        "ssim_holdout": quality.training.ssim_holdout,
        "rms_horizontal_m": quality.georef.rms_horizontal_m if quality.georef else None,
    }
    return {name: float(value) for name, value in numbers.items() if value is not None and isfinite(value)}
