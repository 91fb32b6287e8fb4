"""The reports of a job that did nothing: valid ones, for stub programs to leave.

Made here, by whoever installs the programs, because a program that imports pydantic for it needs a second of
processor at each start.
"""

from __future__ import annotations

from pathlib import Path

from spaceport.pictures import THUMBNAIL
from spaceport.quality import (
    JudgedDelivery,
    LevelsOfDetail,
    Photos,
    QualityReport,
    SfmNumbers,
    SfmReport,
    TrainingReport,
)

SFM = SfmReport(
    photos=Photos(given=4, refused=[], registered=4),
    sfm=SfmNumbers(seconds=1, cpu_seconds=1, reprojection_px=0.5, points=100, mean_track=3),
    georef=None,
)
TRAINING = TrainingReport(
    seconds=1,
    iterations=1000,
    stopped_by="max_iterations",
    gaussians=100,
    gaussians_initial=100,
    psnr_train=20,
    psnr_holdout=None,
    ssim_holdout=None,
    detail_holdout=None,
    psnr_holdout_initial=None,
    holdout=[],
    device="cpu",
    rasterizer="stub",
    preset="preview",
    peak_memory_bytes=1,
)
DELIVERY = JudgedDelivery(
    ply_bytes=100, sog_bytes=10, bytes_per_gaussian=10, decode_psnr_db=50, psnr_loss_db=0, gaussians=100
)
LOD = LevelsOfDetail(gaussians=[DELIVERY.gaussians], chunks=1, files=1, bytes=4)


def write_reports(folder: Path) -> None:
    """What each stage leaves: `sfm.json`, `metrics.json`, `quality.json`, and `quality-lod.json` where the
    model is laid out in levels of detail."""
    folder.mkdir(parents=True)
    plain = QualityReport(
        photos=SFM.photos,
        sfm=SFM.sfm,
        georef=None,
        training=TRAINING,
        delivery=DELIVERY,
        pictures=[THUMBNAIL],
    )
    layered = plain.model_copy(update={"delivery": DELIVERY.model_copy(update={"lod": LOD})})
    reports = {"sfm": SFM, "metrics": TRAINING, "quality": plain, "quality-lod": layered}
    for name, report in reports.items():
        (folder / f"{name}.json").write_text(report.model_dump_json())
