"""All three job programs in one, for tests of what is around them: each leaves what the next stage needs.

The folder this file lies in is the test's own (`Stubs` in conftest.py): `held` names the stages that wait,
one file each; `begun` gets a line for each start: the job's name, and the checkpoint that it found; `reports`
holds what a stage reports (`stub_reports.py`). `pace`, where there is one, says how many lines a stage tells
on its way, and how many seconds lie between two: `200 0.5`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from spaceport.job_program import MlTree

HERE = Path(__file__).parent
TREE = MlTree.from_environment()
NAME = os.environ.get("TRAINING_JOB_NAME") or os.environ["PROCESSING_JOB_NAME"]
SUFFIX = NAME.split("-")[-3]  # {jobId}-{sfm|3dgs|sog}-{run}-{attempt}
STAGE = {"sog": "compression"}.get(SUFFIX, SUFFIX)
GAUSSIANS = 100  # as in the reports


def main() -> None:
    checkpoint = TREE.checkpoints / "iteration.txt"
    found = checkpoint.read_text() if checkpoint.exists() else "nothing"
    with (HERE / "begun").open("a") as log:
        log.write(f"{NAME} found {found}\n")
    if (HERE / "pace").exists():
        lines, seconds = (HERE / "pace").read_text().split()
        for line in range(1, int(lines) + 1):
            tell(line / (int(lines) + 1))
            time.sleep(float(seconds))
    else:
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


def report(name: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "reports" / name, file)


def sfm() -> None:
    write(TREE.processing_output("extracted") / "photo.jpg", "photo")
    colmap = TREE.processing_output("colmap")
    write(colmap / "dense" / "scene.txt", "scene")
    report("sfm.json", colmap / "sfm.json")


def train() -> None:
    write(TREE.model / "model.ply", "model")
    write(TREE.model / "training.log", "log")
    report("metrics.json", TREE.model / "metrics.json")


def compress() -> None:
    out = TREE.processing_output("compressed")
    has_lod = int(os.environ["SPACEPORT_LOD_ABOVE"]) < GAUSSIANS
    for name in ("lod/lod-meta.json", "lod/0_0/meta.json") if has_lod else ():
        write(out / name, "{}")
    for name in ("model.sog", "viewer/index.html", "thumbnail.jpg"):
        write(out / name, NAME)
    report("quality-lod.json" if has_lod else "quality.json", out / "quality.json")
    write(TREE.processing_output("gaussian") / "model.ply", "model")


if __name__ == "__main__":
    main()
