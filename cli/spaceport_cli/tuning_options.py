"""What `--preset` and `--set` ask for."""

from __future__ import annotations

from spaceport.errors import UserError
from spaceport.tuning import TuningRequest, parse_request
from spaceport_cli.exits import UsageError


def tuning_of(preset: str | None, settings: list[tuple[str, str]]) -> TuningRequest:
    """What is asked of the job's tuning. Raises UsageError for a setting that there is not, or not so."""
    fields = dict(settings)
    if preset is not None and fields.setdefault("preset", preset) != preset:
        raise UsageError("--preset and --set preset=... contradict each other.", "Give one of them.")
    try:
        return parse_request(fields)
    except UserError as error:
        raise UsageError(error.message, error.hint) from error
