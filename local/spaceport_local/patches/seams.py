"""The private parts of MiniStack that we replace or call, each with a digest of its source.

The version of MiniStack is pinned; the digests say which of our patches to read again when the pin moves,
and refuse an engine that somebody changed in place.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from spaceport.errors import UserError


@dataclass(frozen=True)
class Seam:
    """A function, class or text in MiniStack that a patch depends on: `module:name`, and its digest."""

    place: str
    digest: str

    def found(self) -> str:
        """The digest of what is there now, or why there is none."""
        module_name, _, name = self.place.partition(":")
        part: Any = importlib.import_module(f"ministack.{module_name}")
        for attribute in name.split("."):
            part = getattr(part, attribute, None)
            if part is None:
                return "missing"
        text = part if isinstance(part, str) else inspect.getsource(part)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def check(seams: tuple[Seam, ...]) -> None:
    """Raises UserError `engine_changed` when a seam is not what the patch was written for."""
    for seam in seams:
        if (found := seam.found()) != seam.digest:
            raise UserError(
                "engine_changed",
                f"MiniStack's {seam.place} is not what our patch was written for ({found}).",
                "Install the pinned version again: pip install --force-reinstall ministack==1.5.33",
            )
