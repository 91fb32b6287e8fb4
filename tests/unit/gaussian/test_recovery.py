"""Runs whose values or memory give out: what is done about it, how it is told, and when it is given up."""

import dataclasses
import json

import pytest
import torch

from spaceport.errors import UserError
from spaceport.quality import TrainingReport
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning, TuningRequest, resolve
from spaceport_gaussian import checkpoint, job, memory
from spaceport_gaussian.evaluation.likeness import mean_psnr
from spaceport_gaussian.finite import NotFinite, is_finite
from spaceport_gaussian.job import Folders, run_job, start
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.memory import ON_CUDA, Need, gaussians_that_fit, too_small
from spaceport_gaussian.recovery import MAX_INCIDENTS, Guard, train_guarded, visibility
from spaceport_gaussian.training import Step, TrainingRun, train

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=100, train_max_size=96, max_gaussians=900, sh_degree=2, holdout=4, seed=5)
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def material(survey) -> Material:
    return prepare(survey, TUNING, CPU)


@pytest.fixture(scope="module")
def unharmed(survey) -> float:
    """The held-out PSNR of a run that nothing happens to, dB."""
    material = prepare(survey, TUNING, CPU)
    return quality(Job(material).train(), material)


def quality(run: TrainingRun, material: Material) -> float:
    return mean_psnr(run.splat, material.held.at(1.0))


class Job:
    """What `run_job` is to a run: it keeps the state of one iteration, hears of incidents, and may harm."""

    def __init__(self, material: Material, harm=lambda run, step: None, *, saved_at=40) -> None:
        self.material = material
        self.told, self.counts, self.learnt = [], [], []
        self._harm = harm
        self._saved_at = saved_at
        self._good = None

    def __call__(self, run: TrainingRun, step: Step) -> None:
        self.learnt.append(step.iterations)
        self.counts.append(step.gaussians)
        if step.iterations == self._saved_at and self._good is None:
            self._good = copied(run.state_dict())
        self._harm(run, step)

    def train(self) -> TrainingRun:
        guard = Guard(lambda: copied(self._good or start(self.material).state_dict()), self.told.append)
        run, self.material = train_guarded(
            start(self.material), self.material, guard, watcher=self, stop_requested=lambda: False
        )
        return run


def copied(state):
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: copied(value) for name, value in state.items()}
    return [copied(value) for value in state] if isinstance(state, list) else state


class Once:
    """Does `harm` after one iteration, the first time it is done."""

    def __init__(self, iteration, harm) -> None:
        self._iteration, self._harm, self._is_done = iteration, harm, False

    def __call__(self, run: TrainingRun, step: Step) -> None:
        if step.iterations == self._iteration and not self._is_done:
            self._is_done = True
            with torch.no_grad():
                self._harm(run)


def spoil(name, count, value=NAN):
    def harm(run: TrainingRun) -> None:
        getattr(run.splat, name)[:count] = value

    return harm


def spoil_moment(run: TrainingRun) -> None:
    run.optimiser.moments("means")[1][3] = INFINITY


@pytest.mark.parametrize(
    "harm",
    [*(spoil(name, 5) for name in ("means", "quats", "sh_dc")), spoil("sh_rest", 5, INFINITY), spoil_moment],
    ids=["means", "quats", "colours", "infinite colours", "moments"],
)
def test_the_gaussians_that_are_not_finite_go_and_the_run_goes_on(harm, material, unharmed):
    # Given five Gaussians that are spoilt after iteration 57
    job = Job(material, Once(57, harm))

    # When training goes on
    run = job.train()

    # Then they are gone at the next look, no iteration is done twice, and it is told
    assert job.learnt == list(range(1, 101))
    assert is_finite(run.state_dict())
    (incident,) = job.told
    assert incident.iteration == 60
    assert "were no longer finite" in incident.what
    assert incident.done == "Removed them."
    assert run.incidents == [incident]
    assert run.caution == 1.0
    assert quality(run, material) == pytest.approx(unharmed, abs=1.5)


def test_where_most_are_not_finite_the_run_goes_back_and_moves_more_slowly(material, unharmed):
    job = Job(material, Once(73, spoil("means", 300)))

    run = job.train()

    assert job.learnt == [*range(1, 81), *range(41, 101)]
    (incident,) = job.told
    assert "Went back to iteration 40" in incident.done
    assert run.caution == 0.5
    assert is_finite(run.state_dict())
    assert quality(run, material) == pytest.approx(unharmed, abs=1.5)
    assert run.optimiser.state_dict()["param_groups"][0]["lr"] == pytest.approx(
        0.5 * material.recipe.rates.means_at(0.99) * material.extent
    )


def test_without_a_saved_state_the_run_starts_anew(material):
    job = Job(material, Once(23, spoil("means", 300)), saved_at=99)

    run = job.train()

    assert job.learnt == [*range(1, 31), *range(1, 101)]
    assert "Went back to iteration 0" in job.told[0].done
    assert run.iterations == 100


def test_what_is_spoilt_in_the_last_iteration_is_not_delivered(material):
    run = Job(material, Once(100, spoil("sh_rest", 3))).train()

    assert is_finite(run.state_dict())
    assert run.iterations == 100


def test_a_run_that_is_spoilt_again_and_again_ends_in_words(material):
    def always(run: TrainingRun, step: Step) -> None:
        with torch.no_grad():
            run.splat.means[:300] = NAN

    job = Job(material, always)

    with pytest.raises(UserError, match="not finite again and again") as told:
        job.train()

    assert told.value.code == "training_diverged"
    assert len(job.told) == MAX_INCIDENTS


def test_without_a_guard_a_spoilt_run_ends(material):
    with pytest.raises(NotFinite):
        train(start(material), material.photos, material.recipe, watcher=Once(7, spoil("means", 1)))


def test_a_checkpoint_never_holds_what_is_not_finite(tmp_path):
    checkpoint.save(tmp_path, "job", {"good": torch.ones(3)})

    checkpoint.save(tmp_path, "job", {"good": torch.tensor([1.0, NAN, 0.0])})

    assert checkpoint.load(tmp_path, "job", CPU)["good"].tolist() == [1, 1, 1]


def test_huge_values_are_finite():
    assert is_finite({"a": [torch.full((10,), 3e38)], "b": torch.tensor([1, 2]), "c": "nan", "d": NAN})
    assert not is_finite([{"a": torch.tensor([INFINITY, -INFINITY])}])


def out_of_memory(_run: TrainingRun) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def raises(error):
    def harm(_run: TrainingRun) -> None:
        raise error

    return harm


@pytest.mark.parametrize(
    "harm",
    [
        out_of_memory,
        raises(MemoryError("Unable to allocate 3.00 GiB for an array")),
        raises(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")),
        raises(RuntimeError("CUDA error: out of memory")),
    ],
    ids=["torch", "numpy", "torch on a CPU", "CUDA"],
)
def test_a_run_without_memory_goes_on_with_fewer_gaussians(harm, material, unharmed):
    # Given a run that finds no memory after 57 iterations
    job = Job(material, Once(57, harm))

    # When it goes on
    run = job.train()

    # Then it has lost the faintest of its Gaussians and no iteration, and makes no more than it has room for
    at_57 = job.counts[56]
    budget = round(0.7 * at_57)
    assert job.learnt == list(range(1, 101))
    assert job.counts[57] == budget
    assert max(job.counts[57:]) == budget == job.material.recipe.max_gaussians
    (incident,) = run.incidents
    assert (incident.iteration, str(budget) in incident.done) == (57, True)
    assert quality(run, material) == pytest.approx(unharmed, abs=1.5)


def test_the_least_visible_gaussians_go(material):
    kept = {}

    def harm(run: TrainingRun) -> None:
        kept["least"] = visibility(run).sort(descending=True).values[round(0.7 * len(run.splat)) - 1]
        raise MemoryError

    job = Job(material, Once(57, harm))
    job.train()

    run = start(material)
    with torch.no_grad():
        run.splat.opacity_logits[0] = 9.0
        run.splat.log_scales[0] = 3.0
    assert visibility(run).argmax() == 0
    assert kept["least"] > 0


def test_half_a_backward_pass_is_forgotten(material):
    # Given a run that found no memory in the midst of a backward pass
    exposing = prepare(material.scene, TUNING.model_copy(update={"exposure": True}), CPU)

    def half_a_pass(run: TrainingRun) -> None:
        with torch.enable_grad():
            image = run.corrections.developed(run.splat.render(material.photos.at(1.0)[0]).image, 0)
            image.sum().backward()
        raise MemoryError

    job = Job(exposing, Once(57, half_a_pass))
    gradients = []
    job_told = job.told.append
    run = start(exposing)

    def tell(incident):
        job_told(incident)
        gradients.extend(tensor.grad for tensor in run.splat.tensors.values())
        gradients.extend(values.grad for values in run.corrections._values)

    # When it goes on
    train_guarded(run, exposing, Guard(dict, tell), watcher=job, stop_requested=lambda: False)

    # Then nothing of that pass is left
    assert gradients == [None] * 7


def test_an_edit_that_found_no_memory_half_way_is_undone(material):
    def half_an_edit(run: TrainingRun) -> None:
        run.splat.means = run.splat.means[:100].detach().requires_grad_()
        raise MemoryError

    job = Job(material, Once(57, half_an_edit))

    run = job.train()

    assert job.learnt == [*range(1, 58), *range(41, 101)]
    assert run.is_whole()
    assert run.caution == 1.0


def test_a_run_that_never_finds_memory_ends_in_words(material):
    def always(run: TrainingRun, step: Step) -> None:
        raise MemoryError

    job = Job(material, always)

    with pytest.raises(UserError, match="MiB of memory are left here") as told:
        job.train()

    assert told.value.code == "machine_too_small"
    assert len(job.told) == MAX_INCIDENTS


def test_other_errors_are_not_taken_for_a_lack_of_memory(material):
    with pytest.raises(RuntimeError, match="kernel image"):
        Job(material, Once(7, raises(RuntimeError("no kernel image is available for execution")))).train()


def test_a_job_tells_its_incidents_in_its_report_and_log_and_keeps_them_when_resumed(
    dense_folder, tmp_path, monkeypatch
):
    # Given a job whose run is spoilt at the start
    def spoilt(material: Material) -> TrainingRun:
        run = start(material)
        with torch.no_grad():
            run.splat.means[7] = NAN
        return run

    monkeypatch.setattr(job, "start", spoilt)
    folders = Folders(dense_folder, tmp_path / "model", tmp_path / "checkpoints")

    # When it runs to its end, and again
    for _ in range(2):
        report = run_job(folders, TUNING, lambda *_, **__: None, device=CPU, stop=StopSignal())

    # Then its report tells of it, as its log did
    assert report.gaussians_initial == 400
    assert [(told.iteration, told.done) for told in report.incidents] == [(0, "Removed them.")]
    written = (folders.model / "metrics.json").read_text()
    assert TrainingReport.model_validate_json(written).incidents == report.incidents
    lines = [json.loads(line) for line in (folders.model / "training.log").read_text().splitlines()]
    told = [line for line in lines if line["event"] == "incident"]
    assert [line["what"] for line in told] == ["1 of 900 Gaussians were no longer finite."]


def test_a_lowered_budget_outlives_a_restart(material, tmp_path):
    # Given a run that was short of memory and then saved
    first = Job(material, Once(57, out_of_memory)).train()
    torch.save(first.state_dict(), tmp_path / "run.pt")
    state = torch.load(tmp_path / "run.pt", weights_only=True)

    # When it is resumed where there is memory enough
    resumed = job.restore(material.within(state["max_gaussians"]), state)

    # Then it stays with the budget that it had
    assert resumed.max_gaussians == first.max_gaussians < material.recipe.max_gaussians
    assert resumed.incidents == first.incidents


GIB = 2**30


def test_the_gaussians_are_as_many_as_the_memory_holds_beside_the_photos():
    need = Need(per_gaussian=1_000, per_pixel=100, fixed=0)
    whole = gaussians_that_fit(14 * GIB, photo_bytes=GIB, pixels=10**6, need=need)

    assert whole == pytest.approx((14 / 1.25 - 1.875) * GIB / 1_000, rel=0.02)
    assert gaussians_that_fit(14 * GIB, photo_bytes=4 * GIB, pixels=10**6, need=need) < whole
    assert gaussians_that_fit(14 * GIB, photo_bytes=GIB, pixels=10**7, need=need) < whole
    assert gaussians_that_fit(GIB, photo_bytes=GIB, pixels=10**6, need=need) == 0


T4_FREE = 14_500 << 20  # bytes: of a T4's 15,360 MiB the driver and the CUDA context take the rest


@pytest.mark.parametrize("preset", ["preview", "balanced", "quality", "vanilla"])
def test_every_preset_has_room_on_a_t4(preset):
    """With 200 photos of 4:3, the largest set that is promised."""
    tuning = resolve(TuningRequest(preset=preset))
    pixels = tuning.train_max_size**2 * 3 // 4

    assert gaussians_that_fit(T4_FREE, 200 * 3 * pixels, pixels, ON_CUDA) >= tuning.max_gaussians


def test_a_machine_without_room_for_a_scene_is_refused_in_words(survey, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 << 20)

    with pytest.raises(UserError, match="10 MiB of memory are left") as refused:
        prepare(survey, TUNING, CPU)

    assert refused.value.code == "machine_too_small"
    assert refused.value.hint


def test_a_gpu_without_room_is_told_as_one():
    refused = too_small(torch.device("cuda"), 20 << 20, 10_000)

    assert refused.code == "gpu_too_small"
    assert "20 MiB free" in refused.message


def test_a_machine_with_little_room_trains_fewer_gaussians(survey, monkeypatch):
    tuning = TUNING.model_copy(update={"max_gaussians": 20_000_000, "train_max_size": 8192})
    survey = dataclasses.replace(survey, points=survey.points.repeat(100, axis=0))
    monkeypatch.setattr(memory, "available_bytes", lambda: GIB)

    assert 100_000 < prepare(survey, tuning, CPU).recipe.max_gaussians < 1_000_000
