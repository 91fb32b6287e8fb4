"""The page as a whole: gather, lay out by `page.html`, write."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from spaceport.quality import ModelQuality
from spaceport.report_times import PLACE
from spaceport_compressor.judging.fidelity import Judged
from spaceport_compressor.report_page import training_curve
from spaceport_compressor.report_page.delivered import (
    candidates,
    choice_words,
    files,
    lod_words,
    removed_words,
)
from spaceport_compressor.report_page.numbers import percent, read_out, size
from spaceport_compressor.report_page.pictures import (
    ERROR_COLORS,
    MOST_ERROR,
    compare,
    opening_picture,
)
from spaceport_compressor.report_page.plan_view import plan_view
from spaceport_compressor.report_page.survey import CONTROL_ROLES, control_words, lenses, phases
from spaceport_compressor.report_page.verdict import figures, grounds, verdict
from spaceport_compressor.viewer.opening import opening_view
from spaceport_compressor.viewer.surface import surface_points
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.scene import View


@dataclass(frozen=True)
class Material:
    """What the page is made of.

    Attributes:
        title: the job's name, any text.
        made: when the model was delivered.
        delivered: the model as a viewer decodes it from `model.sog`.
        cameras: where to see the model from: the photos', or made-up ones where there are none.
        views: all of the scene's; none where it was not given.
        judged: how many photos judged it: the held-out ones, else the fixed subset of those trained on.
        worst: those of them where the model is least like the photo.
        training_log: the training job's `training.log`, where there is one.
    """

    title: str
    made: datetime
    quality: ModelQuality
    delivered: Gaussians
    cameras: Sequence[Camera]
    views: Sequence[View]
    judged: int
    worst: Sequence[Judged]
    training_log: Path | None


def write_report_page(path: Path, material: Material) -> None:
    """Write the page to `path`; PublishResult puts the times in later."""
    quality, delivered = material.quality, material.delivered
    held_out = quality.training.holdout if quality.training else []
    control = quality.georef.control if quality.georef else None
    style = _resource("page.css")
    page = _template().render(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        title=material.title,
        made=f"{material.made.astimezone(UTC):%Y-%m-%d, %H:%M} UTC",
        quality=quality,
        verdict=verdict(quality),
        grounds=grounds(quality),
        figures=figures(quality),
        opening=opening_picture(delivered, opening_view(material.cameras, surface_points(delivered))),
        held_out=held_out,
        judged=material.judged,
        comparisons=compare(material.worst),
        error_colors=[f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in ERROR_COLORS],
        most_error=MOST_ERROR,
        percent=percent,
        plan=plan_view(
            delivered,
            [view.camera for view in material.views],
            set(held_out),
            metric=quality.georef is not None,
        ),
        charts=_charts(material.training_log),
        chart=training_curve,
        groups=read_out(quality),
        lenses=lenses(quality.sfm) if quality.sfm else [],
        phases=phases(quality.sfm) if quality.sfm else [],
        files=files(quality.delivery),
        trained_size=size(quality.delivery.ply_bytes),
        removed_words=removed_words(quality.delivery.removed),
        lod_words=lod_words(quality.delivery.lod),
        candidates=candidates(quality.delivery),
        choice_words=choice_words(quality.delivery, held_out=bool(held_out)),
        control_words=control_words(control) if control else None,
        control_roles=CONTROL_ROLES,
        times=PLACE,
    )
    path.write_text(page, encoding="utf-8")


def _charts(log: Path | None) -> Sequence[training_curve.Chart]:
    if log is None or not log.is_file():
        return []
    return training_curve.draw_curves(training_curve.read_entries(log))


def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
