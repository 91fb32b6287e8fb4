"""The stages a job passes, in order, with what each is called wherever it shows.

One table, so that the state machine, the status row, the progress lines and the clients
cannot drift apart; `tests/contract` compares it with the ASL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """A job's status. The terminal ones are final: no writer may leave them."""

    QUEUED = "QUEUED"
    WAITING_CAPACITY = "WAITING_CAPACITY"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"


TERMINAL = frozenset({Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.REJECTED})
ACTIVE = (Status.QUEUED, Status.WAITING_CAPACITY, Status.RUNNING)
LIVE = (*ACTIVE, Status.STOPPING)


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    Attributes:
        name: its name in rows, progress lines and `pipelineStep`.
        index: its place in the order; a job's stage never goes back.
        state: the ASL state that does its work.
        message: what a client shows, word for word.
        weight: its share of the overall progress; shares add up to 1.
        job_suffix: its part of the SageMaker job's name; empty for stages that run no job.
    """

    name: str
    index: int
    state: str
    message: str
    weight: float
    job_suffix: str = ""


# Weights are shares of wall time of a `preview` job on 2 CPU cores (targets.md: SfM 29 s, training 26-38 s).
SETUP = Stage("setup", 0, "PrepareJob", "Setting up your processing pipeline", 0.02)
SFM = Stage("sfm", 1, "RunSfM", "Extracting features from uploaded images", 0.38, "sfm")
TRAINING = Stage("3dgs", 2, "RunTraining", "Training advanced neural 3D representation", 0.45, "3dgs")
COMPRESSION = Stage("compression", 3, "RunCompression", "Optimizing model for web delivery", 0.15, "sog")
DONE = Stage("done", 4, "PublishResult", "Your 3D model is ready!", 0.0)

STAGES = (SETUP, SFM, TRAINING, COMPRESSION, DONE)
JOB_STAGES = tuple(stage for stage in STAGES if stage.job_suffix)
_BY_NAME = {stage.name: stage for stage in STAGES}


def stage_named(name: str) -> Stage:
    """The stage called `name`. Raises KeyError for a name that is none."""
    return _BY_NAME[name]


def overall_progress(stage: Stage, fraction: float) -> float:
    """Overall progress, 0..1, when `fraction` (0..1) of `stage` is done and every stage before it is."""
    before = sum(earlier.weight for earlier in STAGES if earlier.index < stage.index)
    return min(1.0, round(before + stage.weight * fraction, 6))
