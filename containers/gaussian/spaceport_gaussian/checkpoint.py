"""Saves a run so that another process can go on from it, and finds it again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.finite import is_finite
from spaceport_gaussian.recipe import gaussian_budget, recipe_for, settled
from spaceport_render.scene import Scene

CHECKPOINT = "training.pt"
FORMAT = 3  # raise it when the meaning of a saved value changes: older files are then not resumed

logger = logging.getLogger(__name__)


def fingerprint(
    scene: Scene, tuning: Tuning, batch: int = 1, held_names: Collection[str] | None = None
) -> str:
    """What a checkpoint must agree in with a job to be resumed by it: format, tuning, recipe and scene.

    So must the held-out photos, where they are not those of the tuning: as `prepare` is told them.

    The recipe is in it with every knob, so that another version of this program, whose recipe may be another,
    starts anew. What depends on the machine is not: a run may go on on another GPU or on a CPU; but not with
    another number of photos an iteration (`batch`), which is another schedule.
    """
    budget = gaussian_budget(tuning, len(scene.points))
    recipe = recipe_for(settled(tuning, scene), budget, batch)
    held = None if held_names is None else sorted(held_names)
    known = [FORMAT, tuning.model_dump(mode="json"), repr(recipe), held]
    digest = hashlib.sha256(json.dumps(known).encode())
    for view in scene.views:
        camera = view.camera
        digest.update(f"{camera.name} {camera.width} {camera.height}".encode())
        digest.update(camera.world_to_camera.tobytes() + camera.intrinsics.tobytes() + view.pixels.tobytes())
    digest.update(scene.points.tobytes() + scene.colors.tobytes())
    if scene.seeds is not None:
        digest.update(scene.seeds.points.tobytes() + scene.seeds.tellers.tobytes())
    return digest.hexdigest()


def save(folder: Path, job: str, state: dict[str, Any]) -> None:
    """Write `state` (plain values and tensors) into `folder`; what was there stays until all is written.

    A state that is not finite is not written: nobody could go on from it.

    Args:
        job: the fingerprint.
    """
    if not is_finite(state):
        logger.warning("no checkpoint is saved: not every value is finite")
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that processes which were killed meanwhile leave one such file at most.
    unfinished = folder / f".{CHECKPOINT}"
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
    except Exception as error:  # there is no end to what torch raises for a file that is not its own
        logger.warning("the checkpoint %s can't be read and is not used: %s", file.name, error)
        return None
    if not isinstance(saved, dict) or saved.get("job") != job:
        logger.warning("the checkpoint %s is of another scene or tuning and is not used", file.name)
        return None
    state: dict[str, Any] = saved["state"]
    return state
