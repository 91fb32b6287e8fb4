import dataclasses
import json

import pytest
import torch

from spaceport.quality import TrainingReport
from spaceport.tuning import Tuning
from spaceport_gaussian import checkpoint
from spaceport_gaussian.densification import AdaptiveDensityControl
from spaceport_gaussian.job import MODEL, Folders, prepare, run_job, start
from spaceport_gaussian.training import Interrupted, train
from spaceport_gaussian.training_log import LOG
from spaceport_render.ply import read_ply

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=50, train_max_size=96, max_gaussians=900, sh_degree=2, holdout=4, seed=5)


def ignore(*_: object, **__: object) -> None:
    pass


def folders_in(path, dense_folder) -> Folders:
    return Folders(dense_folder, path / "model", path / "checkpoints")


@pytest.fixture(scope="module")
def trained(dense_folder, tmp_path_factory) -> tuple[Folders, TrainingReport]:
    folders = folders_in(tmp_path_factory.mktemp("trained"), dense_folder)
    return folders, run_job(folders, TUNING, ignore, device=CPU)


def test_fifty_iterations_improve_the_psnr_of_unseen_photos(trained):
    _, report = trained

    assert report.iterations == 50
    assert report.stopped_by == "max_iterations"
    assert report.psnr_holdout > report.psnr_holdout_initial + 3
    assert report.holdout == ["02.png", "20.png"]
    assert (report.gaussians_initial, report.gaussians <= 900) == (400, True)


def test_the_model_the_report_and_the_log_are_delivered(trained):
    folders, report = trained

    assert len(read_ply(folders.model / MODEL)) == report.gaussians
    assert TrainingReport.model_validate_json((folders.model / "metrics.json").read_text()) == report
    lines = [json.loads(line) for line in (folders.model / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines[:-1]] == list(range(1, 51))
    assert {line["scale"] for line in lines[:-1]} == {0.25, 0.5, 0.75, 1.0}
    assert lines[-1]["event"] == "end"
    assert (folders.checkpoints / "preview.jpg").stat().st_size > 500


def test_the_same_seed_gives_the_same_bytes(trained, dense_folder, tmp_path):
    folders, _ = trained
    again = folders_in(tmp_path, dense_folder)

    run_job(again, TUNING, ignore, device=CPU)

    assert (again.model / MODEL).read_bytes() == (folders.model / MODEL).read_bytes()


def test_an_interrupted_job_goes_on_as_if_nothing_had_happened(trained, dense_folder, tmp_path):
    # Given a job that is stopped after 23 iterations
    folders, whole = trained
    broken = folders_in(tmp_path, dense_folder)
    asked = iter([*[False] * 23, True])
    with pytest.raises(Interrupted):
        run_job(broken, TUNING, ignore, device=CPU, stop_requested=lambda: next(asked))
    assert not (broken.model / MODEL).exists()

    # When it is started again
    report = run_job(broken, TUNING, ignore, device=CPU)

    # Then its model is the unbroken job's, and its log has no gap
    assert (broken.model / MODEL).read_bytes() == (folders.model / MODEL).read_bytes()
    assert report.psnr_holdout == whole.psnr_holdout
    lines = [json.loads(line) for line in (broken.model / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines[:-1]] == list(range(1, 51))


def test_a_finished_job_started_again_only_delivers_again(trained):
    folders, report = trained
    before = (folders.model / MODEL).read_bytes()

    again = run_job(folders, TUNING, ignore, device=CPU)

    assert again.iterations == 50
    assert again.psnr_holdout == report.psnr_holdout
    assert (folders.model / MODEL).read_bytes() == before


@pytest.mark.parametrize("spoil", ["other tuning", "torn file"])
def test_a_checkpoint_that_does_not_fit_is_not_used(spoil, survey, tmp_path, caplog):
    job = checkpoint.fingerprint(survey, TUNING)
    checkpoint.save(tmp_path, job, {"iterations": 7})
    assert checkpoint.load(tmp_path, job, CPU) == {"iterations": 7}
    if spoil == "other tuning":
        job = checkpoint.fingerprint(survey, TUNING.model_copy(update={"seed": 6}))
    else:
        file = tmp_path / checkpoint.CHECKPOINT
        file.write_bytes(file.read_bytes()[:100])

    assert checkpoint.load(tmp_path, job, CPU) is None
    assert "not used" in caplog.text


def test_held_out_photos_influence_nothing_but_the_report(survey):
    # Given the same survey with its held-out photos painted over
    painted = dataclasses.replace(
        survey,
        views=tuple(
            dataclasses.replace(view, pixels=view.pixels // 7) if index % 4 == 2 else view
            for index, view in enumerate(survey.views)
        ),
    )

    # When both are trained
    models = []
    for scene in (survey, painted):
        material = prepare(scene, TUNING, CPU)
        run = start(material)
        train(run, material.photos, material.recipe, watcher=ignore)
        models.append(run.splat)

    # Then the models are the same
    for name, tensor in models[0].tensors.items():
        assert torch.equal(tensor, models[1].tensors[name]), name


def test_the_plateau_rule_ends_a_run_at_full_resolution(survey):
    tuning = TUNING.model_copy(update={"max_iterations": 2_000, "plateau_patience": 100, "target_psnr": 12.0})
    material = prepare(survey, tuning, CPU)
    material = dataclasses.replace(
        material,
        recipe=dataclasses.replace(
            material.recipe, resolution=type(material.recipe.resolution)((60,), (0.5, 1.0))
        ),
    )
    run = start(material)
    tested = []

    train(
        run,
        material.photos,
        material.recipe,
        watcher=lambda _, step: tested.append(step.tested_psnr is not None),
    )

    assert run.stopped_by == "target_psnr"
    assert run.iterations == 100
    assert sum(tested) == 1


def test_the_plain_recipe_grows_by_the_published_gradient(survey):
    # Given the plain recipe, and the same but for absolute gradients, which do not cancel each other
    class Absolute(AdaptiveDensityControl):
        absolute_pull = True

    tuning = {"optimization_enabled": False, "max_iterations": 150, "max_gaussians": 20_000}
    material = prepare(survey, TUNING.model_copy(update=tuning), CPU)
    absolute = dataclasses.replace(material.recipe, densification=Absolute(max_gaussians=20_000))

    # When both are trained with room for more Gaussians than they ask for
    counts = []
    for recipe in (material.recipe, absolute):
        run = start(dataclasses.replace(material, recipe=recipe))
        train(run, material.photos, recipe, watcher=ignore)
        counts.append(len(run.splat))

    # Then it grows, and by less: its threshold is that of signed gradients
    assert len(survey.points) < counts[0] < counts[1] < 20_000


def test_the_plain_recipe_trains_too(survey):
    material = prepare(survey, TUNING.model_copy(update={"optimization_enabled": False}), CPU)
    run = start(material)
    scales = set()

    train(run, material.photos, material.recipe, watcher=lambda _, step: scales.add(step.scale))

    assert scales == {1.0}
    assert run.initial_count == len(survey.points)
