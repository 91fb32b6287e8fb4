"""The smallest file that still looks like the trained model: decided by looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spaceport.progress import Progress
from spaceport.quality import Candidate
from spaceport_compressor.judging.fidelity import Fidelity, Reference, measure_fidelity
from spaceport_compressor.sog.archive import write_archive
from spaceport_compressor.sog.precision import FULL, Precision
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.scan_order import scan_order
from spaceport_compressor.sog.viewing import viewing_of
from spaceport_compressor.sog.write import Draft, check_writable
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians

# From the smallest file to the most faithful one: what a bit for each Gaussian may cost of the pictures' mean
# squared error, and how many Gaussians share an entry of the harmonics' palette. Half a decibel of decoded
# pictures a rung at first; where photos ask for more, a larger palette gives it for fewer bytes than a lower
# price does (docs/compression.md).
LADDER = (
    *((price, 40) for price in (1.6e-6, 1.1e-6, 8e-7, 5.7e-7, 4e-7)),
    *((price, 20) for price in (2.8e-7, 2e-7, 1.4e-7, 1e-7)),
    *((price, 10) for price in (1e-7, 7e-8)),
    *((price, 5) for price in (1e-7, 5e-8)),
)


@dataclass(frozen=True)
class Choice:
    """What was written.

    Attributes:
        precision: of the file that was left.
        candidates: all that were tried, in the order they were; one is `chosen`.
    """

    precision: Precision
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Trial:
    precision: Precision
    files: Mapping[str, bytes]
    fidelity: Fidelity
    candidate: Candidate


def ladder(count: int) -> tuple[Precision, ...]:
    """The precisions to choose from for `count` Gaussians, each a larger file that is nearer to the model."""
    return (*(Precision(price / count, entry) for price, entry in LADDER), FULL)


def write_smallest(
    path: Path,
    trained: Gaussians,
    cameras: Sequence[Camera],
    references: Sequence[Reference],
    *,
    seed: int,
    progress: Progress,
) -> Choice:
    """Write `trained` to `path` at the first precision of the ladder that is good enough.

    Bisection finds it in four looks, as a rung is never worse than the one before. Where none is good
    enough, the most faithful one stays, and the report tells by how much it misses.

    Args:
        cameras: those of the photos trained on; at least one.
        references: where to look; like the cameras never held-out ones, which must not steer anything.

    Raises:
        ValueError: as `check_writable`.
    """
    check_writable(trained)
    progress(0.0, "Looking what shows in the photos")
    draft = Draft(trained, viewing_of(trained, cameras, seed), scan_order(trained.means), seed)
    rungs = ladder(len(trained))
    trials: list[_Trial] = []
    first, last = 0, len(rungs) - 1
    while True:
        middle = (first + last) // 2
        progress(1 - (last - first + 1) / (len(rungs) + 1), "Packing the model for the web")
        name = f"step {middle + 1} of {len(rungs)}"
        trials.append(_try(path, name, draft, rungs[middle], references))
        if trials[-1].fidelity.good_enough:
            last = middle
        else:
            first = min(middle + 1, last)
        if first == last and any(trial.precision == rungs[first] for trial in trials):
            break
    chosen = next(trial for trial in trials if trial.precision == rungs[first])
    write_archive(path, chosen.files)
    return Choice(
        chosen.precision,
        tuple(trial.candidate.model_copy(update={"chosen": trial is chosen}) for trial in trials),
    )


def _try(
    path: Path, name: str, draft: Draft, precision: Precision, references: Sequence[Reference]
) -> _Trial:
    files = draft.files(precision)
    write_archive(path, files)
    decoded = read_sog(path)
    fidelity = measure_fidelity(decoded, references)
    candidate = Candidate(
        name=name,
        sog_bytes=path.stat().st_size,
        gaussians=len(decoded),
        harmonics=decoded.sh_degree,
        decode_psnr_db=fidelity.decode_psnr_db,
        psnr_loss_db=fidelity.psnr_loss_db,
        good_enough=fidelity.good_enough,
    )
    return _Trial(precision, files, fidelity, candidate)
