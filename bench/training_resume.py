"""Does a training job that was killed half-way end as good as one that was not?

    python bench/training_resume.py DENSE_DIR [--preset preview] [--set key=value] [--signal KILL] [--at 0.5]

Runs the training program unbroken, then again: ended by the signal once the share `--at` of the iterations
is done (with KILL: and a periodic checkpoint is there), and started anew on what it left. Prints the measures
of both models, and what a checkpoint takes in bytes and seconds.
DENSE_DIR is the SfM stage's `colmap/dense/`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from machine import machine

from spaceport.job_program import MlTree
from spaceport.progress import parse_line
from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.tuning import Tuning, parse_request, resolve
from spaceport_gaussian.checkpoint import CHECKPOINT
from spaceport_gaussian.checkpoint import save as save_checkpoint

MODEL = "model.ply"


@dataclass(frozen=True)
class Ending:
    """How a run was ended: at which iteration, from which one it can go on, and after how many seconds."""

    iteration: int
    saved: int
    seconds: float


def tree_for(root: Path, dense: Path, tuning: Tuning) -> MlTree:
    """The program's folders under `root`."""
    tree = MlTree(root)
    tree.channel("scene").parent.mkdir(parents=True)
    tree.channel("scene").symlink_to(dense.resolve())
    tree.hyperparameters.parent.mkdir(parents=True)
    tree.hyperparameters.write_text(json.dumps(tuning.to_strings()))
    return tree


@contextmanager
def program(tree: MlTree) -> Iterator[subprocess.Popen[str]]:
    """The running program; killed where it outlives the block."""
    environment = {**os.environ, "SPACEPORT_ML_ROOT": str(tree.root)}
    command = [sys.executable, "-m", "spaceport_gaussian"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def run_to_the_end(tree: MlTree) -> TrainingReport:
    with program(tree) as process:
        process.communicate()
    if process.returncode:
        sys.exit(f"the program ended with {process.returncode}")
    return TrainingReport.model_validate_json((tree.model / TRAINING_REPORT).read_bytes())


def end_half_way(tree: MlTree, number: signal.Signals, at: int) -> Ending:
    """Send the signal once `at` iterations are done; SIGKILL also waits for a checkpoint."""
    checkpoint = tree.checkpoints / CHECKPOINT
    with program(tree) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = parse_line(line)
            done = int(told.metrics.get("iteration", 0)) if told else 0
            if done >= at and (number is not signal.SIGKILL or checkpoint.exists()):
                break
        else:
            sys.exit("the run was over before the signal; choose a smaller --at or more iterations")
        began = time.perf_counter()
        process.send_signal(number)
        process.communicate()
    return Ending(done, saved_iterations(checkpoint), time.perf_counter() - began)


def saved_iterations(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["state"]["run"]["iterations"])


def seconds_to_save(checkpoint: Path) -> float:
    """Of the same content once more, beside it."""
    saved = torch.load(checkpoint, weights_only=True)
    with tempfile.TemporaryDirectory(dir=checkpoint.parent) as folder:
        began = time.perf_counter()
        save_checkpoint(Path(folder), saved["job"], saved["state"])
        return time.perf_counter() - began


def told(name: str, report: TrainingReport) -> str:
    held = f"{report.psnr_holdout:.3f} dB / {report.ssim_holdout:.4f} / {report.detail_holdout:.3f}"
    return (
        f"{name:>9}: held out {held}, training {report.psnr_train:.3f} dB, {report.gaussians} Gaussians, "
        f"{report.iterations} iterations, {report.seconds:.1f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", dest="settings")
    parser.add_argument("--signal", choices=["KILL", "TERM"], default="KILL")
    parser.add_argument("--at", type=float, default=0.5)
    chosen = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in chosen.settings)
    tuning = resolve(parse_request({"preset": chosen.preset, "holdout": 8, **settings}))
    print(f"{machine('torch', 'numba')}; {chosen.preset} {settings or ''}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        whole = tree_for(Path(folder) / "whole", chosen.dense, tuning)
        unbroken = run_to_the_end(whole)
        print(told("unbroken", unbroken), flush=True)
        broken = tree_for(Path(folder) / "broken", chosen.dense, tuning)
        ending = end_half_way(
            broken, signal.Signals[f"SIG{chosen.signal}"], round(chosen.at * tuning.max_iterations)
        )
        checkpoint = broken.checkpoints / CHECKPOINT
        print(
            f"SIG{chosen.signal} after iteration {ending.iteration}: gone after {ending.seconds:.2f} s; "
            f"checkpoint of iteration {ending.saved}: {checkpoint.stat().st_size} bytes, "
            f"saved in {seconds_to_save(checkpoint):.2f} s",
            flush=True,
        )
        resumed = run_to_the_end(broken)
        print(told("resumed", resumed))
        is_same = (whole.model / MODEL).read_bytes() == (broken.model / MODEL).read_bytes()
    assert resumed.psnr_holdout is not None
    assert unbroken.psnr_holdout is not None
    difference = resumed.psnr_holdout - unbroken.psnr_holdout
    print(f"difference {difference:+.3f} dB; the files are {'the same bytes' if is_same else 'not the same'}")
    return 0 if abs(difference) <= 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
