"""What has been done already: the ledger of a reconstruction on a folder that outlives the process.

Each phase reads what earlier phases left on disk and leaves its own result there; when it has ended, the
ledger holds what it returned and how long it took. A run that was killed, at whatever moment, goes on with
the phase that was under way when it is started again on the same folder with the same inputs.
"""

from __future__ import annotations

import hashlib
import logging
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from spaceport.errors import UserError
from spaceport.quality import PhaseNumbers

Result = TypeVar("Result")

_MARKER = "inputs"  # the file that makes a folder ours: a fingerprint of what the work in it is on
_BLOCK_BYTES = 16 << 20

logger = logging.getLogger(__name__)


class Phase(StrEnum):
    """The phases in the order in which they are run; the two `MORE` only where photos were left over."""

    PHOTOS = "photos"
    FEATURES = "features"
    MATCHING = "matching"
    MAPPING = "mapping"
    MATCHING_MORE = "matching_more"
    MAPPING_MORE = "mapping_more"
    REFINEMENT = "refinement"
    PLACEMENT = "placement"
    UNDISTORTION = "undistortion"
    SEEDS = "seeds"

    @property
    def doing(self) -> str:
        """What is done in this phase, to go on a sentence with."""
        return _DOING[self]


_DOING = {
    Phase.PHOTOS: "reading the photos",
    Phase.FEATURES: "finding features",
    Phase.MATCHING: "matching photos",
    Phase.MAPPING: "placing the photos",
    Phase.MATCHING_MORE: "matching photos that were left over",
    Phase.MAPPING_MORE: "placing photos that were left over",
    Phase.REFINEMENT: "refining the model",
    Phase.PLACEMENT: "placing the model on Earth",
    Phase.UNDISTORTION: "removing lens distortion",
    Phase.SEEDS: "looking for points by stereo",
}


class _Entry(BaseModel):
    """One phase that has ended: what it returned as JSON, and its time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float
    cpu_seconds: float
    result: Any


class Ledger:
    """The phases that have ended, one file each, in a work folder that belongs to us alone.

    Only one process may write at a time (the program keeps others out, and starts its child after its own
    phase).
    """

    def __init__(self, work: Path) -> None:
        """The ledger in the work folder `work`, which `open` has made."""
        self._folder = work / "ledger"

    @classmethod
    def open(cls, work: Path, inputs: str) -> Ledger:
        """The ledger of the run on `inputs`, a fingerprint: what other inputs left in `work` is removed.

        Raises:
            UserError: `work_folder_taken`, for a folder that holds something else than our work.
        """
        ledger = cls(work)
        known = work / _MARKER
        if cls.is_of(work, inputs):
            if done := [entry.name for entry in ledger.times()]:
                logger.info("going on where an earlier run stopped: done are %s", ", ".join(done))
            return ledger
        if known.is_file():
            logger.info("starting anew: photos, settings or versions are not those of the run before")
        elif work.exists() and not is_work_folder(work):
            raise UserError(
                "work_folder_taken",
                f"The folder {work} holds files that are not ours.",
                "Choose another folder for the results, or move these files away.",
            )
        work.mkdir(parents=True, exist_ok=True)
        _write_atomically(known, "none: being cleared")
        for old in set(work.iterdir()) - {known}:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        ledger._folder.mkdir()
        _write_atomically(known, inputs)
        return ledger

    @staticmethod
    def is_of(work: Path, inputs: str) -> bool:
        """Whether what is in `work` was done on `inputs`."""
        return (work / _MARKER).is_file() and (work / _MARKER).read_text() == inputs

    def run(
        self,
        phase: Phase,
        kind: type[Result],
        work: Callable[[], Result],
        leaves: Iterable[Path] = (),
    ) -> Result:
        """What `work` returns, from the ledger where the phase has ended in an earlier run.

        Args:
            kind: of the result: anything that pydantic can write as JSON and read again.
            leaves: what the phase leaves on disk; where one is gone, the phase and all later are run again.
        """
        file = self._file(phase)
        if file.is_file() and all(path.exists() for path in leaves):
            return _recorded(file, kind)
        self._forget_from(phase)
        _write_atomically(self._running, phase.value)
        stopwatch = Stopwatch()
        result = work()
        entry = _Entry(
            seconds=round(stopwatch.wall(), 3),
            cpu_seconds=round(stopwatch.cpu(), 3),
            result=TypeAdapter(kind).dump_python(result, mode="json"),
        )
        _write_atomically(file, entry.model_dump_json(indent=1))
        return result

    def times(self) -> list[PhaseNumbers]:
        """Wall and CPU seconds of the phases that have ended, in order, of this run and those before."""
        ended = ((phase, self._file(phase)) for phase in Phase)
        entries = [(phase, _entry(file)) for phase, file in ended if file.is_file()]
        return [
            PhaseNumbers(name=phase.value, seconds=entry.seconds, cpu_seconds=entry.cpu_seconds)
            for phase, entry in entries
        ]

    def result(self, phase: Phase, kind: type[Result]) -> Result | None:
        """What `phase` returned, None if it has not ended."""
        file = self._file(phase)
        return _recorded(file, kind) if file.is_file() else None

    def doing(self) -> str:
        """What is done in the phase that was begun last, in words."""
        return Phase(self._running.read_text()).doing if self._running.is_file() else "starting"

    @property
    def _running(self) -> Path:
        return self._folder / "running"

    def _file(self, phase: Phase) -> Path:
        return self._folder / f"{phase.value}.json"

    def _forget_from(self, phase: Phase) -> None:
        phases = list(Phase)
        for later in phases[phases.index(phase) :]:
            self._file(later).unlink(missing_ok=True)


@dataclass(frozen=True)
class RunTimes:
    """How long a reconstruction took: this run, and the phases that it found done already."""

    seconds: float
    cpu_seconds: float
    phases: tuple[PhaseNumbers, ...]

    @classmethod
    def of(cls, this_run: Stopwatch, earlier: Sequence[PhaseNumbers], ledger: Ledger) -> RunTimes:
        """The times of `this_run`, which found `earlier` in `ledger` and has completed it."""
        return cls(
            this_run.wall() + sum(phase.seconds for phase in earlier),
            this_run.cpu() + sum(phase.cpu_seconds for phase in earlier),
            tuple(ledger.times()),
        )


def is_work_folder(folder: Path) -> bool:
    """Whether `folder` is one that `Ledger.open` has made, be it that it was killed at that."""
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    return not names or bool(names & {_MARKER, _new(Path(_MARKER)).name})


def fresh(folder: Path) -> Path:
    """`folder`, made and empty, whatever an interrupted run left there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _entry(file: Path) -> _Entry:
    return _Entry.model_validate_json(file.read_text())


def _recorded(file: Path, kind: type[Result]) -> Result:
    return TypeAdapter(kind).validate_python(_entry(file).result)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(frozen=True)
class Stopwatch:
    """Wall and CPU seconds since it was made; CPU seconds are ours and those of children that ended."""

    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=_cpu_seconds)

    def wall(self) -> float:
        return time.monotonic() - self._wall

    def cpu(self) -> float:
        return _cpu_seconds() - self._cpu


def fingerprint(
    *files_or_folders: Path, settings: Iterable[str] = (), step: Callable[[], None] = lambda: None
) -> str:
    """A digest of files byte for byte, alone or in folders, of their names, and of `settings`.

    A second or two for each GB, most of it for reading what the next phase then finds in the cache. `step` is
    called many times a second.
    """
    digest = hashlib.blake2b(digest_size=16)
    for given in files_or_folders:
        files = [given] if given.is_file() else sorted(path for path in given.rglob("*") if path.is_file())
        for file in files:
            digest.update(f"{file.relative_to(given.parent)}\0".encode(errors="surrogateescape"))
            digest.update(file.stat().st_size.to_bytes(8, "big"))
            with suppress(PermissionError), file.open("rb") as content:  # the intake tells of it
                while block := content.read(_BLOCK_BYTES):
                    step()
                    digest.update(block)
    for setting in settings:
        digest.update(f"{setting}\0".encode())
    return digest.hexdigest()


def _write_atomically(file: Path, text: str) -> None:
    _new(file).write_text(text)
    _new(file).replace(file)


def _new(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")
