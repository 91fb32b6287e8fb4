"""All three job programs in one, for tests of what is around them: each leaves what the next stage needs.

The folder this file lies in is the test's own (`Stubs` in conftest.py): `held` names the stages that wait,
one file each; `begun` gets a line for each start: the job's name, and the checkpoint that it found.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from spaceport.job_program import MlTree
from spaceport.quality import (
    JudgedDelivery,
    LevelsOfDetail,
    Photos,
    QualityReport,
    SfmNumbers,
    SfmReport,
    TrainingReport,
)
from spaceport.tuning import Tuning

HERE = Path(__file__).parent
TREE = MlTree.from_environment()
NAME = os.environ.get("TRAINING_JOB_NAME") or os.environ["PROCESSING_JOB_NAME"]
SUFFIX = NAME.split("-")[-3]  # {jobId}-{sfm|3dgs|sog}-{run}-{attempt}
STAGE = {"sog": "compression"}.get(SUFFIX, SUFFIX)


def main() -> None:
    checkpoint = TREE.checkpoints / "iteration.txt"
    found = checkpoint.read_text() if checkpoint.exists() else "nothing"
    with (HERE / "begun").open("a") as log:
        log.write(f"{NAME} found {found}\n")
    tell(0.5)
    if STAGE == "3dgs":
        write(checkpoint, "700")
    while (HERE / "held" / STAGE).exists():
        time.sleep(0.02)
    {"sfm": sfm, "3dgs": train, "compression": compress}[STAGE]()
    tell(1.0)


def tell(progress: float) -> None:
    line = {"spaceport": 1, "stage": STAGE, "progress": progress, "message": "", "metrics": {}}
    print(json.dumps(line), flush=True)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def sfm() -> None:
    write(TREE.processing_output("extracted") / "photo.jpg", "photo")
    colmap = TREE.processing_output("colmap")
    write(colmap / "dense" / "scene.txt", "scene")
    write(colmap / "sfm.json", SFM.model_dump_json())


def train() -> None:
    write(TREE.model / "model.ply", "model")
    write(TREE.model / "training.log", "log")
    write(TREE.model / "metrics.json", TRAINING.model_dump_json())


def compress() -> None:
    out = TREE.processing_output("compressed")
    delivery = DELIVERY
    if Tuning.from_environment(os.environ).lod_above < DELIVERY.gaussians:
        for name in ("lod/lod-meta.json", "lod/0_0/meta.json"):
            write(out / name, "{}")
        lod = LevelsOfDetail(gaussians=[DELIVERY.gaussians], chunks=1, files=1, bytes=4)
        delivery = delivery.model_copy(update={"lod": lod})
    report = QualityReport(photos=SFM.photos, sfm=SFM.sfm, georef=None, training=TRAINING, delivery=delivery)
    for name in ("model.sog", "viewer/index.html"):
        write(out / name, NAME)
    write(out / "quality.json", report.model_dump_json())
    write(TREE.processing_output("gaussian") / "model.ply", "model")


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

if __name__ == "__main__":
    main()
