"""The training job's program: SageMaker's folders, hyperparameters and signals on the outside."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys

import torch

from spaceport.job_program import MlTree, run_program
from spaceport.progress import Progress
from spaceport.stages import TRAINING
from spaceport.tuning import Tuning
from spaceport_gaussian.job import Folders, run_job
from spaceport_gaussian.stop_signal import Interrupted, StopSignal

SCENE_CHANNEL = "scene"
EXIT_INTERRUPTED = 128 + signal.SIGTERM  # what a shell reports for a process that SIGTERM ended


def main() -> int:
    tree = MlTree.from_environment()
    stop = StopSignal(leave=lambda: os._exit(EXIT_INTERRUPTED))
    # pycolmap, which reads the scene, takes SIGTERM for a crash once imported; so it is imported first and
    # loses the signal to us.
    importlib.import_module("pycolmap")
    signal.signal(signal.SIGTERM, stop)
    try:
        return run_program(TRAINING, tree.training_failure, lambda progress: _train(tree, progress, stop))
    except Interrupted:
        return EXIT_INTERRUPTED


def _train(tree: MlTree, progress: Progress, stop: StopSignal) -> None:
    folders = Folders(tree.channel(SCENE_CHANNEL), tree.model, tree.checkpoints)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        # torch's OpenMP threads spin while they wait, which takes the cores from the rasterizer's own
        # threads: seen 19 times slower on two busy cores. What torch does here is small anyway.
        torch.set_num_threads(1)
    run_job(folders, read_tuning(tree), progress, device=device, stop=stop)


def read_tuning(tree: MlTree) -> Tuning:
    """The job's hyperparameters. Raises UserError (`bad_tuning`) naming the first that does not fit."""
    return Tuning.from_strings(json.loads(tree.hyperparameters.read_text()))


if __name__ == "__main__":
    sys.exit(main())
