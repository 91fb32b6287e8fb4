"""What can be tuned in a job, the presets, and which of several values wins.

An explicit field beats the preset, the preset beats the template's value; no preset means `balanced`.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spaceport.errors import UserError
from spaceport.formats import Format


class Preset(StrEnum):
    """How much time a job may take for its quality."""

    PREVIEW = "preview"
    BALANCED = "balanced"
    QUALITY = "quality"
    VANILLA = "vanilla"  # plain 3DGS as published: what ours is measured against


class Pairing(StrEnum):
    """Which photos are compared with which; `auto` chooses by the set."""

    AUTO = "auto"
    EXHAUSTIVE = "exhaustive"
    SPATIAL = "spatial"
    SEQUENTIAL = "sequential"


class Mapper(StrEnum):
    """How poses are found; `auto` chooses by the set."""

    AUTO = "auto"
    INCREMENTAL = "incremental"
    GLOBAL = "global"


class Resolution(StrEnum):
    """When small photos give way to larger ones while training."""

    PHASES = "phases"  # after so many iterations each
    FREQUENCY = "frequency"  # by what the photos show at each size


class Densify(StrEnum):
    """How the Gaussians become more while training."""

    BUDGET = "budget"  # along a line to the budget, where the photos pull hardest
    CONSISTENT = "consistent"  # the same, but only what several photos agree is wrong
    RELOCATE = "relocate"  # along the same line, onto others, by opacity; what has faded, too
    GRADIENT = "gradient"  # wherever the photos pull harder than a threshold, as plain 3DGS does
    NONE = "none"


NO_FORMATS = "none"


def _formats_in(given: Any) -> Any:
    """Formats as a list may give them, or text with commas."""
    if given is None or not isinstance(given, str | list | tuple):
        return given
    names = given.split(",") if isinstance(given, str) else given
    names = [name.strip() if isinstance(name, str) else name for name in names]
    unknown = [name for name in names if name not in [*Format, NO_FORMATS]]
    if unknown or (NO_FORMATS in names and len(names) > 1):
        raise ValueError(f"should be any of {', '.join(Format)}, with commas between; or {NO_FORMATS}")
    return tuple(dict.fromkeys(name for name in names if name != NO_FORMATS))


class TuningRequest(BaseModel):
    """The tuning fields as a caller may give them: every one optional, names as in the execution input."""

    # Most handlers' calls read none: it is built where it is first used, not at every handler's start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    preset: Preset | None = Field(None, description="preview, balanced, quality or vanilla")
    optimization_enabled: bool | None = Field(
        None, description="false trains by the plain 3DGS recipe, the benchmarks' baseline"
    )
    progressive_resolution: bool | None = Field(None, description="train at 0.25, 0.5, 0.75, 1.0 of the size")
    resolution: Resolution | None = Field(
        None, description="how long at each size: phases or frequency (by the photos' spectrum)"
    )
    progressive_blur: bool | None = Field(None, description="train on blurred photos first")
    psnr_plateau_termination: bool | None = Field(
        None, description="stop when the PSNR no longer rises or has reached target_psnr; false: neither"
    )
    target_psnr: float | None = Field(None, gt=0, le=100, description="dB that is good enough to stop at")
    max_iterations: int | None = Field(None, ge=10, le=200_000)
    plateau_patience: int | None = Field(None, ge=100, le=100_000, description="iterations without a gain")
    sfm_max_size: int | None = Field(None, ge=320, le=8192, description="longer side for SfM, pixels")
    sfm_pairs: Pairing | None = Field(
        None, description="which photos are compared: auto, exhaustive, spatial or sequential"
    )
    sfm_mapper: Mapper | None = Field(None, description="auto, incremental or global")
    drop_blurred: bool | None = Field(None, description="leave blurred photos out instead of warning")
    sparse_text: bool | None = Field(None, description="also write the SfM model as COLMAP's text files")
    dense_seeds: bool | None = Field(None, description="look for points by stereo where SfM found none")
    gap_seeds: bool | None = Field(None, description="start Gaussians in photos' empty parts, too")
    surround: bool | None = Field(None, description="continue the ground beyond what the photos show")
    train_max_size: int | None = Field(None, ge=64, le=8192, description="longer side for training, pixels")
    max_gaussians: int | None = Field(None, ge=100, le=20_000_000)
    densify: Densify | None = Field(
        None, description="how Gaussians become more: budget, consistent, relocate, gradient or none"
    )
    point_support: bool | None = Field(
        None, description="let Gaussians become more where SfM found points rather than where it is blind"
    )
    prune_insignificant: bool | None = Field(
        None, description="take away the Gaussians that paint least, twice while training"
    )
    opacity_decay: bool | None = Field(
        None, description="let all opacities fade a little while Gaussians become more"
    )
    limit_size: bool | None = Field(None, description="let no Gaussian outgrow the scene, to the end")
    position_noise: float | None = Field(
        None, ge=0, le=1e8, description="jolt faint Gaussians, so much; 500000 as published; 0: not"
    )
    sh_degree: int | None = Field(None, ge=0, le=3)
    sh_every: int | None = Field(
        None, ge=1, le=100, description="learn view-dependent colour only every n-th iteration"
    )
    antialiased: bool | None = Field(
        None, description="train with Mip-Splatting's 2D filter; viewers must then draw with it, too"
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of Gaussians left out of an iteration; unset: 0.2 where few photos overlap",
    )
    opacity_weight: float | None = Field(
        None, ge=0, le=10, description="what opacity costs: what no photo needs fades"
    )
    scale_weight: float | None = Field(None, ge=0, le=10, description="what size costs")
    anisotropy_weight: float | None = Field(None, ge=0, le=10, description="what being a needle costs")
    sh_weight: float | None = Field(
        None, ge=0, le=10, description="what colour costs that changes with the view"
    )
    transparency_weight: float | None = Field(
        None, ge=0, le=10, description="what letting the background through costs"
    )
    sh_by_views: bool | None = Field(
        None, description="no more spherical harmonics than photos that see a Gaussian"
    )
    sh_masks: bool | None = Field(
        None, description="take away the bands of spherical harmonics that show next to nothing"
    )
    mse_weight: float | None = Field(
        None, ge=0, le=1, description="share of squared differences in the pixels' loss; 0: absolute only"
    )
    robust: bool | None = Field(None, description="less weight for what moves between photos")
    exposure: bool | None = Field(None, description="learn each training photo's exposure and white balance")
    pose_refinement: bool | None = Field(None, description="learn where SfM was off by a little, too")
    averaging: bool | None = Field(
        None, description="deliver the average of the run's last part, not its last iteration"
    )
    holdout: int | None = Field(
        None, ge=0, le=1000, description="hold out every n-th photo; 0 = none; unset = 8 from 24 photos on"
    )
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    video: bool | None = Field(None, description="film a flight over the model, flight.mp4")
    remove_invisible: bool | None = Field(None, description="take away Gaussians too faint to be drawn")
    merge_duplicates: bool | None = Field(None, description="make one of Gaussians that are exactly equal")
    remove_floaters: bool | None = Field(
        None, description="take away what hangs in the air or under the ground and photos hardly show"
    )
    crop: bool | None = Field(
        None, description="take away what lies outside the flown area and photos hardly show"
    )
    crop_margin: float | None = Field(
        None, ge=0, le=10, description="how far beyond the photos the area reaches, in photo sizes"
    )
    lod_above: int | None = Field(
        None, ge=0, description="models of more Gaussians also come in levels of detail, in pieces"
    )
    formats: tuple[Format, ...] | None = Field(
        None,
        description="what to write besides the .sog: any of ply, spz, gltf and tiles, with commas; or none",
    )

    _formats_from_text = field_validator("formats", mode="before")(_formats_in)

    @field_validator("holdout")
    @classmethod
    def _leaves_photos_to_train_on(cls, holdout: int | None) -> int | None:
        if holdout == 1:
            raise ValueError("would leave no photo to train on; choose 2 or more (8 is usual), or 0")
        return holdout


class Tuning(BaseModel):
    """The tuning of one job, complete: what the job programs read.

    `holdout` and `dropout` may stay open (None): only SfM's end tells how many photos there are, and how many
    show the same ground.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    preset: Preset = Preset.BALANCED
    optimization_enabled: bool = True
    progressive_resolution: bool = True
    resolution: Resolution = Resolution.FREQUENCY
    progressive_blur: bool = False
    psnr_plateau_termination: bool = True
    target_psnr: float = 30.0
    max_iterations: int = 6000
    plateau_patience: int = 500
    sfm_max_size: int = 1600
    sfm_pairs: Pairing = Pairing.AUTO
    sfm_mapper: Mapper = Mapper.AUTO
    drop_blurred: bool = False
    sparse_text: bool = False
    dense_seeds: bool = False
    gap_seeds: bool = True
    surround: bool = True
    train_max_size: int = 1024
    max_gaussians: int = 200_000
    densify: Densify = Densify.BUDGET
    point_support: bool = True
    prune_insignificant: bool = False
    opacity_decay: bool = False
    limit_size: bool = True
    position_noise: float = 0.0
    sh_degree: int = 3
    sh_every: int = 1
    antialiased: bool = False
    dropout: float | None = None  # only the scene tells, see recipe.settled
    opacity_weight: float = 0.01  # Kheradmand et al. 2024, as the next
    scale_weight: float = 0.01
    anisotropy_weight: float = 0.0
    sh_weight: float = 0.0
    transparency_weight: float = 0.02  # docs/ablation.md, as the next
    sh_by_views: bool = False
    sh_masks: bool = False
    mse_weight: float = 1.0
    robust: bool = False
    exposure: bool = False
    pose_refinement: bool = False
    averaging: bool = False
    holdout: int | None = None
    seed: int = 0
    video: bool = True
    remove_invisible: bool = True
    merge_duplicates: bool = True
    remove_floaters: bool = True
    crop: bool = True
    crop_margin: float = 0.25  # docs/cleaning.md
    lod_above: int = 1_000_000  # what the viewer draws at once on a weak phone
    formats: tuple[Format, ...] = tuple(Format)  # docs/formats.md: 4 s for 300K Gaussians

    _formats_from_text = field_validator("formats", mode="before")(_formats_in)

    def to_strings(self) -> dict[str, str]:
        """As SageMaker hyperparameters: strings only; an open field is left out."""
        return {name: _text(value) for name, value in self.model_dump().items() if value is not None}

    def to_environment(self) -> dict[str, str]:
        """As a processing job's environment variables: `SPACEPORT_` + the field's name in capitals."""
        return {_variable(name): value for name, value in self.to_strings().items()}

    @classmethod
    def from_strings(cls, values: Mapping[str, str]) -> Tuning:
        """The tuning that `to_strings` wrote.

        Raises:
            UserError: `bad_tuning`, naming the first value that does not fit; an unknown name must not pass
                unseen.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _unfit(error) from error

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Tuning:
        """The tuning that `to_environment` wrote; other variables are left alone."""
        given = {name: environ[_variable(name)] for name in cls.model_fields if _variable(name) in environ}
        return cls.from_strings(given)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or NO_FORMATS
    return str(value).lower() if isinstance(value, bool) else str(value)


def _variable(field: str) -> str:
    return f"SPACEPORT_{field.upper()}"


# Sizes follow the CPU budgets of targets.md: `preview` is the two-minute job on 2 cores without a GPU.
PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    Preset.PREVIEW: {
        "max_iterations": 1500,
        "train_max_size": 480,
        # A ceiling for the two-minute job; most scenes support fewer (the trainer's gaussian_budget).
        "max_gaussians": 60_000,
        "sfm_max_size": 1600,
    },
    Preset.BALANCED: {
        "max_iterations": 6000,
        "train_max_size": 1024,
        "max_gaussians": 200_000,
        "sfm_max_size": 1600,
    },
    Preset.QUALITY: {
        "max_iterations": 15_000,
        "train_max_size": 1600,
        "max_gaussians": 1_000_000,
        "target_psnr": 40.0,  # where nothing moves, training pays far beyond 30 (docs/ablation.md)
        "sfm_max_size": 2400,
    },
    Preset.VANILLA: {
        "optimization_enabled": False,
        "max_iterations": 30_000,  # Kerbl et al. 2023
        "train_max_size": 1600,  # the original's limit, too
        "max_gaussians": 3_000_000,  # a guard of memory: half of a T4's 16 GB
        "sfm_max_size": 1600,
    },
}


def resolve(request: TuningRequest, template: Mapping[str, Any] | None = None) -> Tuning:
    """The job's tuning: `request` over its preset over the `template`'s values over the built-in ones."""
    preset = request.preset or Preset.BALANCED
    explicit = request.model_dump(exclude_none=True)
    return Tuning.model_validate({**(template or {}), **PRESETS[preset], **explicit, "preset": preset})


def parse_request(fields: Mapping[str, Any]) -> TuningRequest:
    """`fields` as a TuningRequest.

    Raises:
        UserError: `bad_tuning`, naming the first field that does not fit and what would.
    """
    try:
        return TuningRequest.model_validate(dict(fields))
    except ValidationError as error:
        raise _unfit(error) from error


def _unfit(error: ValidationError) -> UserError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = f"Settings are: {', '.join(TuningRequest.model_fields)}."
        meant = _nearest(name)
        return UserError(
            "bad_tuning",
            f"There is no setting {name!r}.",
            f"Did you mean {meant}? {known}" if meant else known,
        )
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return UserError("bad_tuning", f"The setting {name!r} can't be {first['input']!r}: it {reason}.")


def _nearest(name: str) -> str | None:
    """The setting that may have been meant; None where no name is like it."""
    found = get_close_matches(name.lower().replace("-", "_"), TuningRequest.model_fields, n=1)
    return found[0] if found else None
