"""The training job's program: SageMaker's folders, hyperparameters and signals on the outside.

With arguments it is the command for a machine without a cloud, see `command`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

import torch

from spaceport.job_program import MlTree, run_program
from spaceport.progress import Progress
from spaceport.stages import TRAINING
from spaceport.stop_signal import Interrupted, StopSignal
from spaceport.tuning import Tuning
from spaceport_gaussian import command, distributed
from spaceport_gaussian.device import prepared_device
from spaceport_gaussian.job import Folders, run_job

PROGRAM = "spaceport_gaussian"
SCENE_CHANNEL = "scene"
SAGEMAKERS_ARGUMENT = ["train"]  # what it starts a training image with


def main() -> int:
    """Run the job, in a process for each GPU; return the exit code."""
    gpus = torch.cuda.device_count()
    if gpus > 1 and not distributed.is_one_of_several():
        # In place of this process, which has done nothing yet: then no signal or exit code needs passing on.
        os.execv(sys.executable, [sys.executable, "-m", *distributed.torchrun_command(gpus, PROGRAM)])
    tree = MlTree.from_environment()
    stop = StopSignal(leave=os._exit)
    # pycolmap, which reads the scene, takes SIGTERM for a crash once imported; so it is imported first and
    # loses the signal to us.
    importlib.import_module("pycolmap")
    signal.signal(signal.SIGTERM, stop)
    # The others fail when the first does, and only know that it is gone.
    failure = tree.training_failure if distributed.is_first() else Path(os.devnull)
    try:
        return run_program(TRAINING, failure, lambda progress: _train(tree, progress, stop))
    except Interrupted as interrupted:
        return interrupted.exit_code


def _train(tree: MlTree, progress: Progress, stop: StopSignal) -> None:
    folders = Folders(tree.channel(SCENE_CHANNEL), tree.model, tree.checkpoints)
    device = prepared_device()
    with distributed.joined(device) as team:
        told = progress if team.is_first else _untold
        run_job(folders, read_tuning(tree), told, device=device, stop=stop, team=team)


def _untold(_fraction: float, _message: str = "", **_metrics: float) -> None:
    """For the processes of a team that tell no progress."""


def read_tuning(tree: MlTree) -> Tuning:
    """The job's hyperparameters. Raises UserError (`bad_tuning`) naming the first that does not fit."""
    return Tuning.from_strings(json.loads(tree.hyperparameters.read_text()))


if __name__ == "__main__":
    is_job = sys.argv[1:] in ([], SAGEMAKERS_ARGUMENT) and MlTree.from_environment().is_there
    sys.exit(main() if is_job else command.main(sys.argv[1:]))
