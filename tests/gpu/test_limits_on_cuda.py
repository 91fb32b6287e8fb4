"""What a GPU has too little of, and what several of them do together."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import several_gpus
import torch
from dense_folder import write_dense
from training_memory import made_scene

from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.tuning import Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.memory import MARGIN, ON_CUDA, PYRAMID_SHARE
from spaceport_gaussian.recovery import Guard, train_guarded
from spaceport_gaussian.training import TrainingRun, train

pytestmark = pytest.mark.gpu

if not torch.cuda.is_available():
    pytest.skip("gpu: torch sees no CUDA device", allow_module_level=True)
if importlib.util.find_spec("gsplat") is None:
    pytest.skip("gpu: gsplat is not installed", allow_module_level=True)

COUNT, WIDTH = 50_000, 800
TUNING = Tuning(max_iterations=60, train_max_size=WIDTH, max_gaussians=COUNT, holdout=0)


@pytest.fixture
def material() -> Material:
    return prepare(made_scene(COUNT, WIDTH), TUNING, torch.device("cuda"))


def unwatched(*_: object) -> None:
    pass


def test_no_more_memory_is_taken_than_reckoned_with(material):
    photos = [view.pixels.nbytes for view in material.scene.views]
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()

    run = start(material)
    train(run, material.photos, material.recipe, watcher=unwatched)

    taken = torch.cuda.max_memory_allocated() - before
    pixels = material.scene.views[0].pixels.size // 3
    reckoned = COUNT * ON_CUDA.per_gaussian + pixels * ON_CUDA.per_pixel + ON_CUDA.fixed
    assert taken <= MARGIN * (reckoned + PYRAMID_SHARE * sum(photos))
    assert taken >= 0.2 * reckoned  # else the reckoning keeps Gaussians out for nothing


def test_a_run_goes_on_with_fewer_gaussians_when_the_gpu_is_full(material):
    # Given a GPU on which nothing large can be had any more, until that has been told
    run = start(material)
    torch.cuda.empty_cache()
    left = torch.cuda.memory_reserved() + (8 << 20)
    told = []

    def tell(incident: object) -> None:
        told.append(incident)
        torch.cuda.set_per_process_memory_fraction(1.0)

    torch.cuda.set_per_process_memory_fraction(left / torch.cuda.get_device_properties(0).total_memory)

    # When the run is trained
    try:
        guard = Guard(lambda: pytest.fail("no state was torn"), tell)
        run, _ = train_guarded(run, material, guard, watcher=unwatched, stop_requested=lambda: False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    # Then it has ended with what it had room for
    assert len(told) == 1
    assert run.incidents == told
    assert run.iterations == TUNING.max_iterations
    assert len(run.splat) <= run.max_gaussians < COUNT


def test_gaussians_that_are_not_finite_go(material):
    def spoil(run: TrainingRun, _step: object) -> None:
        if run.iterations == 13:
            with torch.no_grad():
                run.splat.means[:5] = float("nan")

    guard = Guard(lambda: pytest.fail("five are few"), unwatched)

    run, _ = train_guarded(start(material), material, guard, watcher=spoil, stop_requested=lambda: False)

    assert [incident.done for incident in run.incidents] == ["Removed them."]
    assert all(bool(tensor.isfinite().all()) for tensor in run.splat.tensors.values())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="gpu: there is one")
def test_two_gpus_learn_as_much_as_one(tmp_path: Path):
    scene = tmp_path / "scene"
    scene.mkdir()
    write_dense(made_scene(5_000, 320), scene)
    request = {"preset": "preview", "max_iterations": "600", "holdout": "0", "video": "false"}

    reports = []
    for gpus in (1, 2):
        tree = several_gpus.train(scene, tmp_path / str(gpus), gpus, request)
        reports.append(TrainingReport.model_validate_json((tree.model / TRAINING_REPORT).read_text()))

    one, two = reports
    assert (one.iterations, one.batch, two.iterations, two.batch) == (600, 1, 300, 2)
    assert two.psnr_train == pytest.approx(one.psnr_train, abs=0.5)
