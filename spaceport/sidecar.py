"""How the owner of a zip wants its job done: said beside the zip, in its object's metadata, or in it.

Of a field that is said several times the request's body counts first, then the metadata, then the
`spaceport.json` in the zip's root.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from pydantic import ValidationError

from spaceport.archive import SIDECAR_NAME, ArchiveFile
from spaceport.errors import UserError
from spaceport.job import REQUEST_METADATA, JobRequest
from spaceport.unpacking import Pieces, beginning

MAX_METADATA_BYTES = 2000  # S3 holds 2 KB of user metadata, names included
MAX_SIDECAR_BYTES = 16 * 2**10  # every field that there is takes a tenth of it


def read_sidecar(archive: Pieces, sidecar: ArchiveFile | None) -> JobRequest:
    """What the zip's `spaceport.json` asks for, if there is one. Raises UserError `bad_sidecar`."""
    if sidecar is None:
        return JobRequest()
    if sidecar.size > MAX_SIDECAR_BYTES:
        raise _bad_sidecar(f"it is larger than {MAX_SIDECAR_BYTES >> 10} KB")
    content = beginning(archive, sidecar, MAX_SIDECAR_BYTES)
    if (len(content), zlib.crc32(content)) != (sidecar.size, sidecar.crc):
        raise _bad_sidecar("it is damaged in the zip")
    try:
        return _request(content)
    except ValueError as error:
        raise _bad_sidecar(str(error)) from error


def parse_metadata(text: str) -> JobRequest:
    """The request that an object's metadata holds as JSON. Raises UserError `bad_metadata`."""
    try:
        return _request(text)
    except ValueError as error:
        raise UserError(
            "bad_metadata",
            f"The upload's metadata “{REQUEST_METADATA}” can't be used: {error}.",
            "Upload again with `spaceport run`, or leave the metadata out.",
        ) from error


def to_metadata(request: JobRequest) -> str:
    """`request` as an object's metadata holds it: compact ASCII JSON of what was asked, nothing else.

    Raises:
        UserError: `request_too_long`.
    """
    asked = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(asked, separators=(",", ":"), sort_keys=True)
    if len(text) > MAX_METADATA_BYTES:
        raise UserError(
            "request_too_long",
            f"What is asked of the job takes {len(text)} bytes; {MAX_METADATA_BYTES} can travel with a zip.",
            "Choose a shorter name.",
        )
    return text


def combined(*requests: JobRequest) -> JobRequest:
    """All that `requests` ask for, field by field; of two that ask for the same, the later counts."""
    asked: dict[str, Any] = {}
    for request in requests:
        asked |= request.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return JobRequest.model_validate(asked)


def _request(text: str | bytes) -> JobRequest:
    """Raises ValueError, in words for whoever wrote `text`."""
    try:
        return JobRequest.model_validate(json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(": ".join([*map(str, first["loc"]), first["msg"]])) from error


def _bad_sidecar(reason: str) -> UserError:
    return UserError(
        "bad_sidecar",
        f"The {SIDECAR_NAME} in the zip can't be used: {reason}.",
        "Correct it, or leave it out, and send the zip again.",
    )
