"""What drones write in XMP: position, height above take-off, where the camera pointed, focal length.

A packet may come from anyone. It is read only where it is plain UTF-8 without a document type: there entities
are declared, which can grow a few bytes to gigabytes or fetch files, and XMP has no use for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

MAX_PACKET_BYTES = 1 << 20  # a JPEG's packet has at most 64 KB

# The names that drones' packets give their namespaces, by what the namespace's address holds.
_PREFIXES = {"dji.com/drone-dji": "drone-dji", "pix4d.com/camera": "Camera"}
_DECLARATION = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_xmp(packet: bytes) -> Mapping[str, str]:
    """The values in `packet` by names such as `drone-dji:GimbalYawDegree`, in whichever of the two forms.

    Only drones' own names; empty for a packet that can't be read.
    """
    if len(packet) > MAX_PACKET_BYTES:
        return {}
    try:
        text = packet.strip(b"\0").decode("utf-8-sig")
        if _DECLARATION.search(text):
            return {}
        root = ElementTree.fromstring(text.strip())
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return {}
    values: dict[str, str] = {}
    for element in root.iter():
        written = [*element.attrib.items(), (element.tag, element.text or "")]
        for qualified, value in written:
            name = _name(qualified)
            if name and value.strip():
                values.setdefault(name, value.strip())
    return values


def _name(qualified: str) -> str | None:
    """`{http://www.dji.com/drone-dji/1.0/}Name` as `drone-dji:Name`; None for what is no drone's."""
    namespace, _, name = qualified.removeprefix("{").rpartition("}")
    prefixes = (prefix for part, prefix in _PREFIXES.items() if part in namespace)
    prefix = next(prefixes, None)
    return f"{prefix}:{name}" if prefix else None
