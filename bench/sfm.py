"""How fast and how exact are the camera poses: brighton, and demo flights of 20, 60 and 200 photos?

    python bench/sfm.py [--only brighton,20] [--flights FOLDER] [--cores 2] [--set sfm_mapper=global ...]

Runs `python -m spaceport_sfm PHOTOS OUT` on each and prints Markdown: a row a flight, its phases, and, for
the demo flights, how far the poses are from the truth they were rendered from. Then the limits that SfM is
held to, with ✓ or ✗. Wall time is of the whole program, CPU time of all its processes; nothing else should
run meanwhile. Flights that FOLDER lacks are rendered first (three CPU-seconds a photo) and kept there.

`rotation` is the angle between each camera and the true one after the turn of the similarity that fits the
centres, `absolute` the distance of the delivered centres, taken back to WGS 84 by georef.json and from there
to east, north, up of the truth's origin; both root mean square over the cameras.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from machine import machine
from pose_errors import PoseErrors, expected_absolute_m, pose_errors
from pyproj import Transformer

from spaceport.quality import SFM_REPORT, SfmReport

BRIGHTON = "brighton"
FLIGHTS = (20, 60, 200)  # photos
FEWEST_POINTS, MOST_REPROJECTION_PX = 6500, 0.37  # of brighton, pixels of its 1600-px photos
# Wall seconds for brighton, by the cores there are.
MOST_SECONDS = {16: 15.0, 2: 40.0}
MOST_GROWTH = 12.0  # CPU-seconds of 200 photos over those of 20
MOST_SHAPE_M, MOST_ROTATION_DEG = 0.1, 0.3
MOST_ABSOLUTE = 2.0  # times what GPS noise alone leaves


@dataclass(frozen=True)
class Accuracy:
    """A flight against its truth.

    Attributes:
        focal: measured focal length over the true one, less 1.
        limit_m: most absolute error, metres.
    """

    poses: PoseErrors
    focal: float
    limit_m: float


@dataclass(frozen=True)
class Run:
    """One run of the program; `accuracy` is None where nobody knows the truth."""

    name: str
    seconds: float
    cpu_seconds: float
    report: SfmReport
    accuracy: Accuracy | None


@dataclass(frozen=True)
class Limit:
    """What is asked, and what was measured: met where `value` is at most, or `least` at least, `bound`."""

    what: str
    value: float
    bound: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound

    def line(self) -> str:
        sign = "≥" if self.least else "≤"
        return f"{'✓' if self.met else '✗'} {self.what}: {self.value:.4g} ({sign} {self.bound:.4g})"


def run(name: str, photos: Path, truth: Path | None, settings: Sequence[str]) -> Run:
    """The program's own command on `photos`, a zip, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="sfm-bench-") as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "spaceport_sfm", str(photos), str(out)]
        for setting in settings:
            command += ["--set", setting]
        began, cpu_before = time.perf_counter(), _children_cpu_seconds()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds, cpu = time.perf_counter() - began, _children_cpu_seconds() - cpu_before
        colmap = out / "colmap"
        report = SfmReport.model_validate_json((colmap / SFM_REPORT).read_bytes())
        accuracy = measure(colmap / "sparse", json.loads(truth.read_text())) if truth else None
    return Run(name, seconds, cpu, report, accuracy)


def measure(sparse: Path, truth: dict[str, Any]) -> Accuracy:
    """The model in `sparse` against the demo's truth.json."""
    model = pycolmap.Reconstruction(sparse)
    images = {_told_name(image.name): image for image in model.images.values() if image.has_pose}
    photos = [photo for photo in truth["photos"] if photo["name"].lower() in images]
    posed = [images[photo["name"].lower()] for photo in photos]
    local_crs = json.loads((sparse / "georef.json").read_text())["crs"]
    centres = between_frames(
        np.array([image.projection_center() for image in posed]), local_crs, _topocentric(truth["origin"])
    )
    errors = pose_errors(
        centres,
        np.array([image.cam_from_world().rotation.matrix() for image in posed]),
        np.array([photo["position"] for photo in photos]),
        np.array([photo["rotation"] for photo in photos]),
    )
    camera = posed[0].camera
    true_focal = truth["camera"]["fx"] * camera.width / truth["camera"]["width"]
    limit = MOST_ABSOLUTE * expected_absolute_m(truth["gps_sigma_m"], len(posed))
    return Accuracy(errors, camera.mean_focal_length() / true_focal - 1, limit)


def between_frames(points: np.ndarray, local_crs: str, other_crs: str) -> np.ndarray:
    """`points` (N, 3) of one topocentric frame in another, both PROJ strings; by way of geocentric metres."""
    back = Transformer.from_pipeline(f"+proj=pipeline +step +inv {local_crs} +step {other_crs}")
    return np.stack(back.transform(*points.T), axis=1)


def _topocentric(origin: dict[str, float]) -> str:
    return (
        f"+proj=topocentric +ellps=WGS84 +lat_0={origin['latitude']} +lon_0={origin['longitude']} "
        f"+h_0={origin['altitude']}"
    )


def _told_name(name: str) -> str:
    """A photo's name in the zip, lower case, from its name in the model: `0001_DSC_0001.jpg`."""
    return re.sub(r"^\d+_", "", name).lower()


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def limits(runs: Iterable[Run], cores: int) -> list[Limit]:
    """The issue's limits, as far as `runs` tell of them."""
    by_name = {run.name: run for run in runs}
    found = []
    if brighton := by_name.get(BRIGHTON):
        sfm = brighton.report.sfm
        found += [
            Limit(
                "brighton, registered", brighton.report.photos.registered, brighton.report.photos.given, True
            ),
            Limit("brighton, points", sfm.points, FEWEST_POINTS, least=True),
            Limit("brighton, reprojection px", sfm.reprojection_px, MOST_REPROJECTION_PX),
        ]
        asked = next((seconds for least, seconds in MOST_SECONDS.items() if cores >= least), None)
        if asked:
            found.append(Limit(f"brighton, seconds on {cores} cores", brighton.seconds, asked))
    if (few := by_name.get("20")) and (many := by_name.get("200")):
        growth = many.cpu_seconds / few.cpu_seconds
        found.append(Limit("CPU-seconds of 200 photos over those of 20", growth, MOST_GROWTH))
    for name, run in by_name.items():
        if run.accuracy:
            poses = run.accuracy.poses
            found += [
                Limit(f"{name} photos, shape m", poses.shape_m, MOST_SHAPE_M),
                Limit(f"{name} photos, rotation °", poses.rotation_deg, MOST_ROTATION_DEG),
                Limit(f"{name} photos, absolute m", poses.absolute_m, run.accuracy.limit_m),
            ]
    return found


def tables(runs: Sequence[Run]) -> str:
    """What was measured, as Markdown."""
    told = [
        "| photos | registered | points | reprojection px | GPS RMS m, level / up | wall s | CPU s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        photos, sfm, georef = run.report.photos, run.report.sfm, run.report.georef
        rms = f"{georef.rms_horizontal_m:.2f} / {georef.rms_vertical_m:.2f}" if georef else "no GPS"
        registered = f"{photos.registered} of {photos.given}"
        told.append(
            f"| {run.name} | {registered} | {sfm.points} | {sfm.reprojection_px:.3f} | {rms} "
            f"| {run.seconds:.1f} | {run.cpu_seconds:.1f} |"
        )
    names = list(dict.fromkeys(phase.name for run in runs for phase in run.report.sfm.phases))
    told += [
        "",
        f"| phase, wall / CPU s | {' | '.join(run.name for run in runs)} |",
        f"| --- |{' ---: |' * len(runs)}",
    ]
    for name in names:
        cells = [
            " ".join(
                f"{phase.seconds:.1f} / {phase.cpu_seconds:.1f}"
                for phase in run.report.sfm.phases
                if phase.name == name
            )
            for run in runs
        ]
        told.append(f"| {name} | {' | '.join(cells)} |")
    if measured := [(run.name, run.accuracy) for run in runs if run.accuracy]:
        told += [
            "",
            "| the truth | shape m | rotation ° | worst ° | absolute m | tilt ° | scale % | focal % |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, accuracy in measured:
            poses = accuracy.poses
            told.append(
                f"| {name} photos | {poses.shape_m:.3f} | {poses.rotation_deg:.3f} "
                f"| {poses.worst_rotation_deg:.3f} | {poses.absolute_m:.2f} | {poses.tilt_deg:.2f} "
                f"| {100 * poses.scale:+.2f} | {100 * accuracy.focal:+.3f} |"
            )
    return "\n".join(told)


def rendered(folder: Path, photos: int) -> Path:
    """The folder of the demo flight of so many photos in `folder`, rendered where it is missing."""
    flight = folder / str(photos)
    if not (flight / "truth.json").is_file():  # written last
        subprocess.run(
            [sys.executable, "-m", "spaceport_demo", str(flight), "--photos", str(photos)], check=True
        )
    return flight


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default=",".join([BRIGHTON, *map(str, FLIGHTS)]), help="default: %(default)s"
    )
    parser.add_argument("--brighton", type=Path, default=Path("../shared/data/brighton_beach.zip"))
    parser.add_argument("--flights", type=Path, default=Path("build/flights"), help="default: %(default)s")
    parser.add_argument("--cores", type=int, help="use only so many")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    cores = available[: given.cores]
    os.sched_setaffinity(0, cores)  # the program's processes have no more either
    runs = []
    for name in given.only.split(","):
        if name == BRIGHTON:
            runs.append(run(name, given.brighton, None, given.settings))
        else:
            flight = rendered(given.flights, int(name))
            runs.append(run(name, flight / "demo-flight.zip", flight / "truth.json", given.settings))
    print(f"{machine('pycolmap')}\n\n{tables(runs)}\n")
    found = limits(runs, len(cores))
    print("\n".join(limit.line() for limit in found))
    return 0 if all(limit.met for limit in found) else 1


if __name__ == "__main__":
    sys.exit(main())
