import dataclasses
import json
import signal

import pytest
import torch

from spaceport.quality import TrainingReport
from spaceport.stop_signal import Interrupted, StopSignal
from spaceport.tuning import Resolution, Tuning
from spaceport_gaussian import checkpoint
from spaceport_gaussian.job import MODEL, Folders, run_job, start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.policies.adaptive_density_control import AdaptiveDensityControl
from spaceport_gaussian.training import train
from spaceport_gaussian.training_log import LOG
from spaceport_render.ply import read_ply

CPU = torch.device("cpu")
TUNING = Tuning(
    max_iterations=50,
    resolution=Resolution.PHASES,
    train_max_size=96,
    max_gaussians=900,
    sh_degree=2,
    holdout=4,
    seed=5,
    video=False,
)


def ignore(*_: object, **__: object) -> None:
    pass


class Left(Exception):  # noqa: N818 - where the program would be gone
    pass


def leave(_exit_code: int) -> None:
    raise Left


def train_job(folders, tuning=TUNING, progress=ignore, stop=None) -> TrainingReport:
    return run_job(folders, tuning, progress, device=CPU, stop=stop or StopSignal(leave))


def folders_in(path, dense_folder) -> Folders:
    return Folders(dense_folder, path / "model", path / "checkpoints")


@pytest.fixture(scope="module")
def trained(dense_folder, tmp_path_factory) -> tuple[Folders, TrainingReport]:
    folders = folders_in(tmp_path_factory.mktemp("trained"), dense_folder)
    return folders, train_job(folders)


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

    train_job(again)

    assert (again.model / MODEL).read_bytes() == (folders.model / MODEL).read_bytes()


class StopAfter(StopSignal):
    """SIGTERM comes when the loop asks for it the n-th time."""

    def __init__(self, times: int) -> None:
        super().__init__(leave)
        self._left = times

    def is_requested(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self(signal.SIGTERM, None)
        return super().is_requested()


def test_an_interrupted_job_goes_on_as_if_nothing_had_happened(trained, dense_folder, tmp_path):
    # Given a job that is stopped after 23 iterations
    folders, whole = trained
    broken = folders_in(tmp_path, dense_folder)
    with pytest.raises(Interrupted):
        train_job(broken, stop=StopAfter(24))
    assert not (broken.model / MODEL).exists()

    # When it is started again
    report = train_job(broken)

    # Then its model is the unbroken job's, and its log has no gap
    assert (broken.model / MODEL).read_bytes() == (folders.model / MODEL).read_bytes()
    assert report.psnr_holdout == whole.psnr_holdout
    lines = [json.loads(line) for line in (broken.model / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines[:-1]] == list(range(1, 51))


def test_a_finished_job_started_again_only_delivers_again(trained):
    folders, report = trained
    before = (folders.model / MODEL).read_bytes()

    again = train_job(folders)

    assert again.iterations == 50
    assert again.psnr_holdout == report.psnr_holdout
    assert (folders.model / MODEL).read_bytes() == before


@pytest.mark.parametrize(
    "phase", ["Reading the photos", "Placing the first Gaussians", "Measuring the model"]
)
def test_a_stop_outside_the_loop_ends_the_job_at_once(phase, dense_folder, tmp_path):
    # Given a job that is stopped while it does something other than train
    folders = folders_in(tmp_path, dense_folder)
    stop, told = StopSignal(leave), []

    def progress(fraction: float, message: str = "", **_: float) -> None:
        told.append(message)
        if message == phase:
            stop(signal.SIGTERM, None)

    # When it runs
    with pytest.raises(Left):
        train_job(folders, progress=progress, stop=stop)

    # Then nothing comes after that, and only a trained model has been saved
    assert told[-1] == phase
    assert not (folders.model / MODEL).exists()
    assert (folders.checkpoints / checkpoint.CHECKPOINT).exists() == (phase == "Measuring the model")


def test_a_stop_in_the_loop_waits_until_no_iteration_can_be_lost():
    stop = StopSignal(leave)
    is_saved = False

    def loop() -> None:
        nonlocal is_saved
        with stop.noted_while(lambda: not is_saved):
            stop(signal.SIGTERM, None)
            assert stop.is_requested()
            is_saved = True

    with pytest.raises(Interrupted):
        loop()
    assert is_saved
    with pytest.raises(Left):
        stop(signal.SIGTERM, None)


def other_lens(scene):
    first, *rest = scene.views
    camera = dataclasses.replace(first.camera, fx=first.camera.fx + 1)
    return dataclasses.replace(scene, views=(dataclasses.replace(first, camera=camera), *rest))


@pytest.mark.parametrize(
    ("scene_of", "changed"),
    [
        (lambda scene: scene, {"seed": 6}),
        (lambda scene: scene, {"max_iterations": 60}),
        (lambda scene: scene, {"holdout": 0}),
        (lambda scene: dataclasses.replace(scene, points=scene.points + 1), {}),
        (lambda scene: dataclasses.replace(scene, colors=scene.colors // 2), {}),
        (lambda scene: dataclasses.replace(scene, views=scene.views[1:]), {}),
        (other_lens, {}),
    ],
    ids=["seed", "max_iterations", "holdout", "points", "colours", "views", "lens"],
)
def test_a_checkpoint_of_another_tuning_or_scene_is_not_used(scene_of, changed, survey, tmp_path, caplog):
    job = checkpoint.fingerprint(survey, TUNING)
    checkpoint.save(tmp_path, job, {"iterations": 7})
    assert checkpoint.load(tmp_path, job, CPU) == {"iterations": 7}

    other = checkpoint.fingerprint(scene_of(survey), TUNING.model_copy(update=changed))

    assert checkpoint.load(tmp_path, other, CPU) is None
    assert "not used" in caplog.text


def torn(file):
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    "spoil",
    [
        torn,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_text("not ours"),
        lambda file: torch.save([1, 2], file),
        lambda file: torch.save({"model": 3}, file),
        lambda file: (file.unlink(), file.mkdir()),
    ],
    ids=["torn", "empty", "text", "list", "foreign", "folder"],
)
def test_a_spoilt_checkpoint_is_not_used(spoil, tmp_path, caplog):
    checkpoint.save(tmp_path, "job", {"iterations": 7})
    spoil(tmp_path / checkpoint.CHECKPOINT)

    assert checkpoint.load(tmp_path, "job", CPU) is None
    assert "not used" in caplog.text


def test_what_a_killed_process_left_half_written_is_in_nobodys_way(tmp_path):
    checkpoint.save(tmp_path, "job", {"iterations": 7})
    (tmp_path / f".{checkpoint.CHECKPOINT}").write_bytes(b"half")

    assert checkpoint.load(tmp_path, "job", CPU) == {"iterations": 7}
    checkpoint.save(tmp_path, "job", {"iterations": 8})

    assert checkpoint.load(tmp_path, "job", CPU) == {"iterations": 8}
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.CHECKPOINT]


def test_a_finished_job_with_more_iterations_trains_them_all(trained, dense_folder, tmp_path):
    # Given the checkpoint of a finished job, and a retry that asks for more
    folders, _ = trained
    retried = folders_in(tmp_path, dense_folder)
    retried.checkpoints.mkdir()
    for file in folders.checkpoints.iterdir():
        (retried.checkpoints / file.name).write_bytes(file.read_bytes())

    report = train_job(retried, TUNING.model_copy(update={"max_iterations": 60}))

    # Then it is trained from the start, for the schedules of 60 iterations are others
    assert report.iterations == 60
    lines = [json.loads(line) for line in (retried.model / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines[:-1]] == list(range(1, 61))


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


def test_a_long_run_leaves_no_holes_where_sfm_is_blind(half_blind_survey):
    tuning = TUNING.model_copy(
        update={"max_iterations": 600, "psnr_plateau_termination": False, "holdout": 0}
    )
    material = prepare(half_blind_survey, tuning, CPU)
    run = start(material)

    train(run, material.photos, material.recipe, watcher=ignore)

    degree = material.recipe.harmonics.max_degree
    covered = [run.splat.render(photo, degree).alpha.mean().item() for photo in material.photos.at(1.0, 0.0)]
    assert (
        min(covered) > 0.8
    )  # 0.47 with what is large taken away, and a tenth of the distance for the extent


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


def test_without_plateau_termination_every_iteration_is_trained(survey):
    # Given a target that the first test meets
    tuning = TUNING.model_copy(
        update={"max_iterations": 120, "target_psnr": 1.0, "progressive_resolution": False}
    )
    stopped = {}
    for is_on in (True, False):
        material = prepare(survey, tuning.model_copy(update={"psnr_plateau_termination": is_on}), CPU)
        run = start(material)

        train(run, material.photos, material.recipe, watcher=ignore)
        stopped[is_on] = run.stopped_by, run.iterations

    assert stopped == {True: ("target_psnr", 100), False: ("max_iterations", 120)}


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
