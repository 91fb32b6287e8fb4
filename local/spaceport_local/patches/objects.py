"""Versioned objects: "Object Created" tells the version, and a ranged GET of a version is ranged.

MiniStack leaves `version-id` out of the EventBridge event, and answers a ranged GET of a version with the
whole object.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from ministack.services import eventbridge, s3

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.s3:_fire_s3_event", "2ab38cfade76"),
    Seam("services.s3:_get_object", "64ad7071ef0e"),
    Seam("services.s3:_parse_range", "0631595e6e00"),
    Seam("services.s3:_range_error_xml", "7bf593fed84f"),
    Seam("services.s3:_xml_body", "a66f9c18121c"),
    Seam("services.eventbridge:_dispatch_event", "d1bfe064f602"),
)
WHOLE_OBJECT = 200


def install() -> None:
    _tell_version()
    _range_versions()


def _tell_version() -> None:
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    fired = threading.local()  # an event is built and dispatched in one thread

    def fire_with_version(*arguments: Any, **options: Any) -> None:
        fired.version = options.get("version_id")
        try:
            fire(*arguments, **options)
        finally:
            fired.version = None

    def dispatch_with_version(event: dict[str, Any], *rest: Any, **options: Any) -> Any:
        version = getattr(fired, "version", None)
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, *rest, **options)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version


def _range_versions() -> None:
    get = s3._get_object

    def get_range(bucket: str, key: str, headers: dict[str, str], query: Any = None) -> Any:
        status, answer, body = get(bucket, key, headers, query)
        wanted = headers.get("range", "")
        if status != WHOLE_OBJECT or not wanted:
            return status, answer, body
        size = len(body)
        span = s3._parse_range(wanted, size)
        if span is None:
            described = s3._xml_body(s3._range_error_xml(bucket, key))
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{size}"}, described
        first, last = span
        kept = {name: value for name, value in answer.items() if "checksum" not in name.lower()}
        part = body[first : last + 1]
        kept |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {first}-{last}/{size}"}
        return 206, kept, part

    s3._get_object = get_range
