"""The images without Docker: assembled by their Dockerfiles, run as SageMaker does, stopped and resumed.

`tests/assembled/assembly.py` says what stands in for what can't be had without a network and a GPU.
"""

from __future__ import annotations

import io
import json
import signal
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from assembly import BuildError, Image, assemble
from namespaces import Container, unavailable
from PIL import Image as Picture
from sagemaker_jobs import Request

from spaceport.job import JobInput
from spaceport.plan import Plan, TemplateFacts, make_plan
from spaceport.progress import ProgressLine, parse_line
from spaceport.quality import ModelQuality

WHY_NOT = unavailable()
pytestmark = [
    pytest.mark.photos,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no container without Docker: {WHY_NOT}"),
]

STOPPED = 128 + signal.SIGTERM
GRACE_S = 20.0  # SageMaker gives 120; on the slowest machine of ours nothing needs more than a few
PHOTOS = slice(8, 16)  # of the flight's 18: those overlap most
WIDTH = 640
FACTS = TemplateFacts(
    *("uploads", "data", "spaceport/sfm", "spaceport/3dgs", "spaceport/compressor"),
    *("ml.c6i.4xlarge", "ml.g4dn.xlarge", "ml.c6i.4xlarge"),
    spot_training=True,
)
# Short of nothing but time: each stage does all that it does, on small photos.
TUNING = {
    "preset": "preview", "sfm_max_size": WIDTH,
    "train_max_size": 96, "max_iterations": 400, "max_gaussians": 500,
}  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(JobInput(s3_url="s3://uploads/flight.zip", **TUNING), "flight", FACTS)


@dataclass(frozen=True)
class Images:
    """`images["sfm"]` is assembled by `containers/sfm/Dockerfile` when it is first asked for."""

    repository: Path
    folder: Path
    assembled: dict[str, Image] = field(default_factory=dict)
    compiled_at_first: dict[str, set[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Image:
        if name not in self.assembled:
            dockerfile = self.repository / "containers" / name / "Dockerfile"
            self.assembled[name] = assemble(self.repository, dockerfile, self.folder / name)
            self.compiled_at_first[name] = compiled(self.assembled[name])
        return self.assembled[name]


def compiled(image: Image) -> set[str]:
    """The kernels in an image."""
    return {str(file.relative_to(image.root)) for file in image.inside("/opt/kernels").rglob("*.nb?")}


@pytest.fixture(scope="module")
def images(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(repository, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def flight(brighton_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the zip that SfM gets: eight photos of the flight, small, with their EXIF."""
    folder = tmp_path_factory.mktemp("flight")
    with zipfile.ZipFile(brighton_zip) as given, zipfile.ZipFile(folder / "flight.zip", "w") as small:
        for name in sorted(given.namelist())[PHOTOS]:
            content = io.BytesIO()
            with Picture.open(io.BytesIO(given.read(name))) as photo:
                photo.resize((WIDTH, WIDTH * 9 // 16)).save(content, "JPEG", quality=95, exif=photo.getexif())
            small.writestr(name, content.getvalue())
    return folder


def stop_when(container: Container, holds: Callable[[ProgressLine], bool]) -> None:
    """SIGTERM once the program has told something for which `holds` does; it must end by that, and soon."""
    told = filter(None, map(parse_line, container.lines))
    assert any(map(holds, told)), container.errors
    container.terminate()
    assert container.ended(within_s=GRACE_S) == STOPPED, container.errors


def run_to_its_end(container: Container) -> list[ProgressLine]:
    with container:
        told = [line for line in map(parse_line, container.lines) if line]
        assert container.ended(within_s=GRACE_S) == 0, container.errors
    assert told[-1].progress == 1.0
    return told


def iteration_of(line: ProgressLine) -> int:
    return int(line.metrics.get("iteration", 0))


# ---- the stages, each on what the one before it left -------------------------------------------------------


@pytest.fixture(scope="module")
def colmap(images: Images, flight: Path, plan: Plan, repository: Path, tmp_path_factory) -> Path:
    """What SfM leaves, after a machine that was stopped in the midst of it."""
    request = Request.of_state(repository, "RunSfM", plan)
    home = tmp_path_factory.mktemp("sfm-job")
    # Given a container that is stopped while it works
    ml = request.lay_out(home / "stopped", {"photos": flight})
    with images["sfm"].start(ml, *request.arguments, environment=request.environment) as container:
        stop_when(container, lambda line: line.progress > 0.1)
    assert not (ml / "output" / "message").exists()
    # When another does the same job on a new machine
    ml = request.lay_out(home / "whole", {"photos": flight})
    run_to_its_end(images["sfm"].start(ml, *request.arguments, environment=request.environment))
    return request.output("colmap", ml)


@pytest.fixture(scope="module")
def training(colmap: Path, plan: Plan, repository: Path, tmp_path_factory) -> Callable[[str], Path]:
    """Lays out the training job on a new machine of that name."""
    home = tmp_path_factory.mktemp("training-job")
    request = Request.of_state(repository, "RunTraining", plan)
    return lambda machine: request.lay_out(home / machine, {"scene": colmap / "dense"})


@pytest.fixture(scope="module")
def trained(images: Images, training: Callable[[str], Path], plan: Plan, repository: Path) -> Path:
    """What an undisturbed training leaves: `/opt/ml/model`."""
    request = Request.of_state(repository, "RunTraining", plan)
    ml = training("undisturbed")
    run_to_its_end(images["gaussian"].start(ml, *request.arguments, environment=request.environment))
    return ml / "model"


def test_sfm_places_the_photos(colmap: Path) -> None:
    report = json.loads((colmap / "sfm.json").read_text())
    assert report["photos"]["registered"] == 8
    assert report["georef"] is not None
    assert len(list((colmap / "dense" / "images").iterdir())) == 8


def test_training_resumes_where_a_spot_interruption_stopped_it(
    images: Images, training, trained: Path, plan: Plan, repository: Path
) -> None:
    # Given a machine that is taken away in mid-training
    request = Request.of_state(repository, "RunTraining", plan)
    first = training("taken-away")
    with images["gaussian"].start(first, *request.arguments, environment=request.environment) as container:
        stop_when(container, lambda line: iteration_of(line) > 0)
    assert not (first / "model" / "model.ply").exists()
    checkpoint = torch.load(request.checkpoints(first) / "training.pt", weights_only=True)
    saved = checkpoint["state"]["run"]["iterations"]
    assert 0 < saved < TUNING["max_iterations"]

    # When SageMaker starts another, which has nothing of the first but its checkpoints
    second = training("given-back")
    request.checkpoints(second).rmdir()
    request.checkpoints(first).rename(request.checkpoints(second))
    told = run_to_its_end(
        images["gaussian"].start(second, *request.arguments, environment=request.environment)
    )

    # Then it goes on in the middle, and ends with the same model as if nothing had been
    assert min(filter(None, map(iteration_of, told))) > saved
    assert (second / "model" / "model.ply").read_bytes() == (trained / "model.ply").read_bytes()
    assert (second / "model" / "metrics.json").exists()


@pytest.fixture(scope="module")
def compressed(
    images: Images, colmap: Path, trained: Path, plan: Plan, repository: Path, tmp_path_factory
) -> Path:
    """What compression delivers, after a machine that was stopped in the midst of it."""
    request = Request.of_state(repository, "RunCompression", plan)
    home, inputs = tmp_path_factory.mktemp("compression-job"), {"colmap": colmap, "training": trained}
    # Given a container that is stopped while it works
    ml = request.lay_out(home / "stopped", inputs)
    with images["compressor"].start(ml, environment=request.environment) as container:
        stop_when(container, lambda line: line.progress >= 0.1)
    # When another does the same job on a new machine
    ml = request.lay_out(home / "whole", inputs)
    run_to_its_end(images["compressor"].start(ml, environment=request.environment))
    assert (request.output("gaussian", ml) / "model.ply").exists()
    return request.output("compressed", ml)


def test_compression_delivers(compressed: Path) -> None:
    delivered = {file.name for file in compressed.iterdir()}
    assert {"model.sog", "model.sogs", "viewer", "report.html", "quality.json"} <= delivered
    quality = ModelQuality.model_validate_json((compressed / "quality.json").read_text())
    assert quality.photos.registered == 8


# ---- what holds for all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sfm", "gaussian", "compressor"])
def test_sigterm_before_a_program_can_hear_it_ends_it(images: Images, name: str, tmp_path: Path) -> None:
    # Given a container in its first moment: Python has not even begun to import the program
    ml = tmp_path / "ml"
    ml.mkdir()
    with images[name].start(ml, environment={}) as container:
        container.wait_for_program(images[name].entrypoint[0])

        # When SageMaker stops it, then it ends: the kernel would have kept the signal from process 1
        container.terminate()
        assert container.ended(within_s=GRACE_S) == STOPPED


def test_nothing_else_was_left_out(images: Images) -> None:
    left_out = {
        name: [line.split()[0] for line in images[name].left_out]
        for name in ("sfm", "gaussian", "compressor")
    }
    # apt-get gets Triton's compiler; pip gets gsplat, as the stage with CUDA's compiler has built it.
    assert left_out == {"sfm": [], "gaussian": ["apt-get", "pip"], "compressor": []}


def test_no_job_had_a_kernel_to_compile(images: Images, trained: Path, compressed: Path) -> None:
    for name in ("gaussian", "compressor"):
        assert compiled(images[name]) == images.compiled_at_first[name] != set()


def test_a_requirement_that_is_not_installed_is_missing(repository: Path, tmp_path: Path) -> None:
    # Given the Dockerfile less a package
    dockerfile = tmp_path / "Dockerfile"
    whole = (repository / "containers" / "sfm" / "Dockerfile").read_text()
    dockerfile.write_text(whole.replace('    "simplejpeg>=1.9"\n', '    "psutil>=6"\n'))
    # When it is assembled, then it fails as Docker's build would
    with pytest.raises(BuildError, match="No module named 'simplejpeg'"):
        assemble(repository, dockerfile, tmp_path / "image")
