"""A film of a flight over the splat: H.264 in MP4, which every browser, phone and messenger plays.

The encoder is FFmpeg's own program (imageio-ffmpeg brings one; IMAGEIO_FFMPEG_EXE names another). It is built
with x264 and so under the GPL, which is why it runs as a process of its own and not as a library in ours,
beside CUDA. A fault in it can't harm the trainer either.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spaceport.tuning import Preset
from spaceport_gaussian.pictures.drawing import Pixels

ASPECT = 9 / 16  # of screens
SHARPER = 4 / 3  # than the training photos: a model shows a little more than each of them
# x264's constant quality: 23 is its default; with 20 leaves and gravel stay clean in motion.
QUALITY = 20


@dataclass(frozen=True)
class Film:
    """`width` × `height` pixels, `rate` frames a second for `seconds`."""

    width: int
    height: int
    rate: int
    seconds: float

    @property
    def times(self) -> np.ndarray:
        """When each frame is shown, seconds from 0."""
        return np.arange(round(self.rate * self.seconds)) / self.rate


# The widest that each preset may be, pixels, its frames a second, and seconds. `preview` is for machines
# without a GPU, where a frame of 640 × 360 takes some 15 ms on two cores.
LIMITS: Mapping[Preset, tuple[int, int, float]] = {
    Preset.PREVIEW: (640, 24, 5.0),
    Preset.BALANCED: (1280, 30, 8.0),
    Preset.QUALITY: (1920, 30, 10.0),
    Preset.VANILLA: (1920, 30, 10.0),
}


def film_for(preset: Preset, photo_sizes: Iterable[tuple[int, int]]) -> Film:
    """The film of `preset` after training on photos of these widths and heights."""
    widest, rate, seconds = LIMITS[preset]
    side = min(widest, SHARPER * max(max(size) for size in photo_sizes))
    return Film(_even(side), _even(side * ASPECT), rate, seconds)


def _even(length: float) -> int:
    return 2 * round(length / 2)  # H.264 keeps one colour for 2 × 2 pixels


def write_video(file: Path, film: Film, frames: Iterable[Pixels]) -> None:
    """Encode `frames`, (height, width, 3) each, into `file`, which is never seen half written.

    Raises:
        RuntimeError: the encoder failed; in its words.
    """
    unfinished = file.with_name(f".{file.name}")
    encoder = subprocess.Popen(
        _command(film, unfinished),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # a Ctrl-C is for us; it ends with its input
    )
    assert encoder.stdin is not None
    try:
        for frame in frames:
            encoder.stdin.write(np.ascontiguousarray(frame).data)
    except BrokenPipeError:
        pass  # it has ended, and says why below
    except BaseException:
        encoder.kill()
        raise
    _, told = encoder.communicate()
    if encoder.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise RuntimeError(f"ffmpeg ended with {encoder.returncode}: {told.decode(errors='replace').strip()}")
    unfinished.replace(file)


def _command(film: Film, file: Path) -> Sequence[str]:
    from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415 - who trains without a film needs none

    size = f"{film.width}x{film.height}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(film.rate), "-i", "pipe:0"]
    # Players take HD for BT.709, FFmpeg converts by BT.601 unless told: greens would be off.
    convert = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    name_it = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    colors = ["-vf", f"{convert},{name_it}"]
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(QUALITY)]
    return [
        get_ffmpeg_exe(), "-loglevel", "error", "-y", *given, *colors, *codec,
        "-movflags", "+faststart",  # plays before it is loaded whole
        "-f", "mp4", str(file),
    ]  # fmt: skip
