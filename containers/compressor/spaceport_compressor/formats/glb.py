"""The container of binary glTF: a document in JSON and one block of bytes (glTF 2.0, section 4.4)."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spaceport_compressor.formats.fit import DoesNotFitError

_MAGIC, _VERSION = b"glTF", 2
_JSON, _BINARY = b"JSON", b"BIN\0"
_HEADER, _CHUNK_HEADER = struct.Struct("<4sII"), struct.Struct("<I4s")
_LARGEST = 2**32 - 1  # lengths are 32-bit numbers


def aligned(length: int) -> int:
    """`length` up to the next multiple of 4, where chunks and numbers begin."""
    return -(-length // 4) * 4


def write_glb(path: Path, document: Mapping[str, Any], blocks: Iterable[bytes], length: int) -> None:
    """Write `document`, whose only buffer is made of `blocks`, one after the other.

    Args:
        blocks: made one at a time; together `length` bytes, which is `aligned`.

    Raises:
        DoesNotFitError: for more than 4 GB.
    """
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (aligned(len(text)) - len(text))
    whole = _HEADER.size + 2 * _CHUNK_HEADER.size + len(text) + length
    if whole > _LARGEST:
        raise DoesNotFitError(f"it holds 4 GB, and the model has {whole / 1e9:.1f}")
    with path.open("wb") as file:
        file.write(_HEADER.pack(_MAGIC, _VERSION, whole))
        file.write(_CHUNK_HEADER.pack(len(text), _JSON))
        file.write(text)
        file.write(_CHUNK_HEADER.pack(length, _BINARY))
        for block in blocks:
            file.write(block)
