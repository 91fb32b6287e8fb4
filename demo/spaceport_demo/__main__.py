"""`python -m spaceport_demo FOLDER`: write `demo-flight.zip` and `truth.json` into a folder."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from spaceport_demo.survey import Survey, pack, take_photos, truth

SMALLEST, LARGEST = 64, 8192  # pixels along a side
FEWEST = 3


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 1600x1200") from None
    if not (min(width, height) >= SMALLEST and max(width, height) <= LARGEST):
        raise argparse.ArgumentTypeError(f"each side must be {SMALLEST} to {LARGEST} pixels, not {text}")
    return width, height


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"a survey takes {FEWEST} photos or more, not {text}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0, not {text}")
    return int(text)


def _told(photos: Iterator[tuple[str, bytes]], total: int) -> Iterator[tuple[str, bytes]]:
    """The same photos, each announced on standard error."""
    begun = time.monotonic()
    for index, photo in enumerate(photos, 1):
        print(f"{photo[0]}  {index}/{total}  {time.monotonic() - begun:.1f} s", file=sys.stderr)
        yield photo


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the demo flight; returns the exit code."""
    standard = Survey()
    parser = argparse.ArgumentParser("spaceport_demo", description="Make the photos of a drone survey.")
    parser.add_argument("folder", type=Path, help="where demo-flight.zip and truth.json go")
    parser.add_argument("--seed", type=_seed, default=standard.seed, help="of the landscape (%(default)s)")
    parser.add_argument("--photos", type=_count, default=standard.photos, help="how many (%(default)s)")
    parser.add_argument(
        "--size", type=_size, default=(standard.width, standard.height), help="of a photo, pixels (1600x1200)"
    )
    given = parser.parse_args(arguments)
    survey = Survey(given.seed, given.photos, *given.size)
    given.folder.mkdir(parents=True, exist_ok=True)
    archive = pack(_told(take_photos(survey), survey.photos))
    (given.folder / "demo-flight.zip").write_bytes(archive)
    (given.folder / "truth.json").write_text(json.dumps(truth(survey), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
