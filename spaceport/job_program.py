"""The edge that the three job programs share: SageMaker's folder tree, and how a failure is told.

A job program reads `/opt/ml/...`, writes `/opt/ml/...`, prints progress lines and exits 0 or not 0.
Where it fails it leaves one JSON object (`ErrorText`) in SageMaker's message file; SageMaker passes
that text on in the job's failure reason, and `record_failure` shows it to the user.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from spaceport.errors import ErrorText, UserError
from spaceport.full_disk import full_disk_told
from spaceport.progress import ProgressWriter
from spaceport.stages import Stage

EXIT_USER_ERROR = 1
EXIT_FAULT = 70  # sysexits.h EX_SOFTWARE
# SageMaker cuts a failure reason at 1024 characters, its own "AlgorithmError: ..., exit code: 255" included.
MESSAGE_LIMIT = 980
_LONGEST_ESCAPE = 12  # JSON's characters for one outside Unicode's first plane: \ud83d\ude81

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MlTree:
    """SageMaker's `/opt/ml`, or the same tree under another root (`SPACEPORT_ML_ROOT`) on one machine."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MlTree:
        return cls(Path(environ.get("SPACEPORT_ML_ROOT", "/opt/ml")))

    @property
    def is_there(self) -> bool:
        """Whether a job has been laid out here: else a program without arguments was called by hand."""
        return self.root.is_dir()

    def processing_input(self, name: str) -> Path:
        return self.root / "processing" / "input" / name

    def processing_output(self, name: str) -> Path:
        return self.root / "processing" / "output" / name

    def channel(self, name: str) -> Path:
        """A training job's input channel."""
        return self.root / "input" / "data" / name

    @property
    def hyperparameters(self) -> Path:
        return self.root / "input" / "config" / "hyperparameters.json"

    @property
    def model(self) -> Path:
        """What a training job delivers."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """Copied to S3 continuously while a training job runs, and back when it starts again."""
        return self.root / "checkpoints"

    @property
    def processing_message(self) -> Path:
        return self.root / "output" / "message"

    @property
    def training_failure(self) -> Path:
        return self.root / "output" / "failure"


def run_program(stage: Stage, message_file: Path, program: Callable[[ProgressWriter], None]) -> int:
    """Run `program` with a progress writer on standard output; return the exit code of the process.

    A UserError leaves its text in `message_file`; anything else leaves a plain sentence there and
    the traceback on standard error, where the job's log keeps it.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    no_room = full_disk_told("The machine's disk was full.", "Send fewer photos, or ask for a larger volume.")
    try:
        with no_room:
            program(ProgressWriter(stage, sys.stdout))
    except UserError as error:
        logger.error("%s: %s", error.code, error)
        _leave_message(message_file, error.told())
        return EXIT_USER_ERROR
    except Exception as fault:
        logger.exception("the %s program failed", stage.name)
        _leave_message(
            message_file,
            ErrorText(
                f"{stage.name}_fault",
                f"The {stage.name} program failed: {type(fault).__name__}.",
                "This is a fault of ours; the job's log has the details.",
            ),
        )
        return EXIT_FAULT
    return 0


def _leave_message(file: Path, text: ErrorText) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_fitting(text))


def _fitting(text: ErrorText) -> str:
    """`text` as ASCII JSON of at most MESSAGE_LIMIT characters, its message cut where it must be."""
    written = json.dumps(asdict(text))
    while len(written) > MESSAGE_LIMIT and text.message:
        excess = -(-(len(written) - MESSAGE_LIMIT) // _LONGEST_ESCAPE)
        text = replace(text, message=text.message[:-excess])
        written = json.dumps(asdict(text))
    return written
