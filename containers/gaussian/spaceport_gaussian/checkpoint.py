"""Saves a run so that another process can go on from it, and finds it again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from spaceport.tuning import Tuning
from spaceport_render.scene import Scene

CHECKPOINT = "training.pt"
FORMAT = 1  # raise it when the meaning of a saved value changes: older files are then not resumed

logger = logging.getLogger(__name__)


def fingerprint(scene: Scene, tuning: Tuning) -> str:
    """What a checkpoint must agree in with a job to be resumed by it: format, tuning and scene."""
    digest = hashlib.sha256(json.dumps([FORMAT, tuning.model_dump(mode="json")]).encode())
    for view in scene.views:
        digest.update(view.camera.name.encode())
        digest.update(view.camera.world_to_camera.tobytes())
        digest.update(view.pixels.tobytes())
    digest.update(scene.points.tobytes())
    return digest.hexdigest()


def save(folder: Path, job: str, state: dict[str, Any]) -> None:
    """Write `state` (plain values and tensors) into `folder`; what was there stays until all is written.

    Args:
        job: the fingerprint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{CHECKPOINT}.{os.getpid()}"
    with unfinished.open("wb") as file:
        torch.save({"job": job, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / CHECKPOINT)


def load(folder: Path, job: str, device: torch.device) -> dict[str, Any] | None:
    """The state saved in `folder` by the job with this fingerprint, or None where there is none.

    A checkpoint that can't be read or belongs to another job is left alone, told in the log, and costs
    no more than the time to train again.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        return None
    try:
        saved = torch.load(file, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        logger.warning("the checkpoint %s can't be read and is not used: %s", file.name, error)
        return None
    if saved.get("job") != job:
        logger.warning("the checkpoint %s is of another scene or tuning and is not used", file.name)
        return None
    state: dict[str, Any] = saved["state"]
    return state
