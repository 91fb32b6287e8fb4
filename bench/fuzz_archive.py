"""Looks for bytes that the archive policy trips over: an exception that is no refusal, a hang, much memory.

    make fuzz FUZZ_SECONDS=600

Coverage-guided, by atheris (libFuzzer), in an environment of its own: atheris has wheels for few versions of
Python. It begins with the odd zips of the tests and with small photos. What trips the policy is written to
the folder where this runs, as `crash-…`, `timeout-…` or `oom-…`; named as an argument it is tried again.
docs/archives.md has the last run's figures.
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "made")]

# zipfile, too: nothing above may import it first.
with atheris.instrument_imports(include=["spaceport", "zipfile"]):
    from located_photos import exif, picture
    from odd_zips import REFUSED, TAKEN
    from pieces import InMemory
    from zip_writer import DEFLATED, Entry, written

    from spaceport.archive import Contents, inspect, is_junk, is_safe_name
    from spaceport.errors import UserError
    from spaceport.photo_headers import HEAD_BYTES, read_header
    from spaceport.sampling import look_at
    from spaceport.sidecar import read_sidecar

MAX_INPUT_BYTES = 8192  # a zip of a hundred files fits: what is longer shows nothing new, only slower
SLOWEST_S = 5
MOST_MEMORY_MB = 1024


def try_one(content: bytes) -> None:
    """Take in `content` as the cloud does: as a zip, and its beginning as a photo's."""
    read_header(content[:HEAD_BYTES])
    try:
        contents = inspect(io.BytesIO(content), "flight.zip")
        check(contents, len(content))
        read_sidecar(InMemory(content), contents.sidecar)
        look_at(InMemory(content), contents, "flight.zip")
    except UserError as refused:
        check_words(refused)


def check(contents: Contents, size: int) -> None:
    """What holds for every zip that is taken."""
    names = [photo.name for photo in contents.photos]
    assert len(names) >= 3
    assert len(set(names)) == len(names)
    assert all(is_safe_name(name) and not is_junk(name) for name in [*names, *contents.others])
    assert sum(photo.packed_size for photo in contents.photos if photo.offset >= 0) <= size


def check_words(refused: UserError) -> None:
    """What holds for every refusal."""
    assert refused.code
    assert refused.hint
    assert len(str(refused)) < 2000


def seeds() -> list[bytes]:
    """What to begin with: odd zips, photos, and a usual flight."""
    photos = [picture(kind, (32, 26), exif()) for kind in ("JPEG", "TIFF", "PNG", "HEIF", "BMP")]
    flight = [Entry(f"{n}.jpg".encode(), photos[0] + bytes([n]), method=DEFLATED) for n in range(4)]
    sidecar = Entry(b"spaceport.json", b'{"jobName": "Beach", "preset": "preview"}')
    zips = [content for content, _ in [*REFUSED.values(), *TAKEN.values()]]
    made = [*zips, *photos, written(flight), written([*flight, sidecar])]
    return [content for content in made if len(content) <= MAX_INPUT_BYTES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("file", nargs="?", help="one input to try again")
    given = parser.parse_args()
    if given.file:
        try_one(Path(given.file).read_bytes())
        return
    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(made := seeds()):
            (Path(corpus) / f"{number:03}").write_bytes(content)
        print(f"Python {platform.python_version()}, {len(made)} seeds", flush=True)
        options = {
            "max_total_time": given.seconds,
            "max_len": MAX_INPUT_BYTES,
            "timeout": SLOWEST_S,
            "rss_limit_mb": MOST_MEMORY_MB,
            "print_final_stats": 1,
            "verbosity": 0,
        }
        flags = [f"-{name}={value}" for name, value in options.items()]
        atheris.Setup([sys.argv[0], *flags, corpus], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
