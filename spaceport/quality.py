"""The numbers that tell how good a model is: what each stage measured, and `quality.json`, their sum.

Seconds are wall time, PSNR is in dB, sizes are in bytes, distances in metres, errors in pixels of the
photos that SfM worked on. A value that could not be measured is null, never a guess.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

# Where each stage leaves its report for the compression stage, relative to its own output.
SFM_REPORT = "sfm.json"
TRAINING_REPORT = "metrics.json"
QUALITY_REPORT = "quality.json"


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RefusedPhoto(_Report):
    """A photo that was left out: its name in the zip, a stable code, and the reason in words."""

    name: str
    code: str
    reason: str


class Photos(_Report):
    """`unregistered`: good photos that fitted nowhere, by name; empty in reports older than this field."""

    given: int
    refused: list[RefusedPhoto]
    registered: int
    unregistered: list[str] = Field(default_factory=list)


class SfmNumbers(_Report):
    seconds: float
    cpu_seconds: float
    reprojection_px: float
    points: int
    mean_track: float


class Origin(_Report):
    """Where the local frame's zero is, WGS 84: degrees and metres, the altitude as the EXIF has it."""

    lat: float
    lon: float
    alt: float


class GeorefNumbers(_Report):
    rms_horizontal_m: float
    rms_vertical_m: float
    origin: Origin


class SfmReport(_Report):
    """`sfm.json`, beside `sparse/` and `dense/`. `georef` is null where GPS says too little."""

    photos: Photos
    sfm: SfmNumbers
    georef: GeorefNumbers | None


class TrainingReport(_Report):
    """`metrics.json`. Held-out values are null where no photo was held out.

    `*_initial` are the same measures of the untrained splat of the SfM points, so that anyone
    can see what training added.
    """

    seconds: float
    iterations: int
    stopped_by: str  # max_iterations | plateau | target_psnr
    gaussians: int
    gaussians_initial: int
    psnr_train: float
    psnr_holdout: float | None
    ssim_holdout: float | None
    detail_holdout: float | None
    psnr_holdout_initial: float | None
    holdout: list[str]
    device: str
    rasterizer: str
    preset: str
    peak_memory_bytes: int


class DeliveryNumbers(_Report):
    ply_bytes: int
    sog_bytes: int
    bytes_per_gaussian: float
    decode_psnr_db: float
    psnr_loss_db: float
    gaussians: int


class QualityReport(_Report):
    """`quality.json`. PublishResult adds `stages` and `total_seconds`."""

    photos: Photos
    sfm: SfmNumbers
    georef: GeorefNumbers | None
    training: TrainingReport
    delivery: DeliveryNumbers
    stages: dict[str, float] | None = None
    total_seconds: float | None = None


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
    return {name: float(value) for name, value in numbers.items() if value is not None}
