"""What a second GPU brings: the training program on one GPU and on several, with as many photos trained.

    python bench/several_gpus.py DENSE_DIR --out DIR [--processes 1 2] [--preset P] [--set NAME=VALUE ...]

Each row is the real program, started as the container starts it, in folders of its own under DIR. Without
GPUs the processes share the CPU: that shows the quality, but says nothing of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from spaceport.job_program import MlTree
from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.tuning import TuningRequest, resolve
from spaceport_gaussian.distributed import torchrun_command

PROGRAM = "spaceport_gaussian"


def train(dense: Path, folder: Path, processes: int, request: dict[str, str]) -> MlTree:
    """Run the program to its end. Raises CalledProcessError where it fails; its log is in `folder`."""
    tree = MlTree(folder)
    tree.channel("scene").parent.mkdir(parents=True)
    tree.channel("scene").symlink_to(dense.resolve())
    tree.hyperparameters.parent.mkdir(parents=True)
    tuning = resolve(TuningRequest.model_validate(request))
    tree.hyperparameters.write_text(json.dumps(tuning.to_strings()))
    command = torchrun_command(processes, PROGRAM) if processes > 1 else [PROGRAM]
    visible = ",".join(str(index) for index in range(processes))
    with (folder / "log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", *command],
            env={**os.environ, "SPACEPORT_ML_ROOT": str(folder), "CUDA_VISIBLE_DEVICES": visible},
            stdout=log,
            stderr=log,
            check=True,
        )
    return tree


def loop_seconds(tree: MlTree) -> float:
    """From the first to the last line of the iterations in the log: start and compilers left out."""
    lines = [json.loads(line) for line in (tree.model / "training.log").read_text().splitlines()]
    steps = [line["seconds"] for line in lines if line["event"] == "step"]
    return float(steps[-1] - steps[0])


def row(processes: int, tree: MlTree) -> str:
    report = TrainingReport.model_validate_json((tree.model / TRAINING_REPORT).read_text())
    seconds, photos = loop_seconds(tree), report.iterations * report.batch
    held = (report.psnr_holdout, report.ssim_holdout, report.detail_holdout)
    quality = " / ".join("–" if value is None else f"{value:.3f}" for value in held)
    return (
        f"| {processes} | {report.iterations} | {seconds:.1f} | {1_000 * seconds / photos:.2f} | "
        f"{report.psnr_train:.2f} | {quality} | {report.gaussians} | {report.peak_memory_bytes / 2**20:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path, metavar="DENSE_DIR")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    request = {"preset": given.preset, "holdout": "8", "video": "false"}
    request |= dict(setting.split("=", 1) for setting in given.set)
    print("| GPUs | iterations | loop s | ms a photo | training dB | held out | Gaussians | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for processes in given.processes:
        print(row(processes, train(given.dense, given.out / str(processes), processes, request)), flush=True)


if __name__ == "__main__":
    main()
