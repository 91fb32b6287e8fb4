"""Two processes train one splat, by gloo and on the CPU: what several GPUs do by NCCL."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spaceport.progress import parse_line
from spaceport.quality import TrainingReport
from spaceport.tuning import Tuning
from spaceport_gaussian.distributed import ALONE, torchrun_command
from spaceport_gaussian.evaluation.likeness import mean_psnr
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.policies.stopping import StoppedBy
from spaceport_gaussian.recipe import recipe_for
from spaceport_gaussian.splat import Splat

CPU = torch.device("cpu")
TUNING = Tuning(
    max_iterations=120,
    train_max_size=96,
    max_gaussians=1_500,
    sh_degree=1,
    holdout=4,
    seed=5,
    exposure=True,
    pose_refinement=True,
    averaging=True,
)

# What each of two processes does: compares the team's gradient with its own of both photos, trains, tells.
PROCESS = """
import json, sys, torch
from dataclasses import replace
from pathlib import Path
from spaceport.tuning import Tuning
from spaceport_gaussian.distributed import joined
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.training import train
from spaceport_render.scene import read_scene

scene, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
cpu = torch.device("cpu")
with joined(cpu) as team:
    tuning = Tuning.model_validate_json(sys.argv[3])
    material = prepare(read_scene(scene, tuning.train_max_size), tuning, cpu, team=team)
    # Without seeds there is room for Gaussians to agree on.
    material = replace(material, recipe=replace(material.recipe, seeding=None, surround=None))
    photos = material.photos.at(1.0)

    def gradient(run, *indices):
        for index in indices:
            render = run.splat.render(photos[index], 1)
            (render.image - photos[index].target).abs().mean().backward()
        return run.splat.means.grad

    both = gradient(start(material), 0, 1) / 2
    run = start(material)
    gradient(run, team.rank)
    run.optimiser.gather(team)
    error = float((run.splat.means.grad - both).norm() / both.norm())

    run, seen, counts = start(material), [], set()
    next_photo = run.next_photo
    run.next_photo = lambda *given: seen.append(next_photo(*given)) or seen[-1]
    count = lambda _, step: counts.add(step.gaussians)
    train(run, material.photos, material.recipe, team=team, watcher=count)
    torch.save(run.state_dict(), out / f"{team.rank}.pt")
    first = team.as_first(lambda: team.rank)
    numbers = {"error": error, "seen": seen, "counts": sorted(counts), "first": first}
    (out / f"{team.rank}.json").write_text(json.dumps(numbers))
"""


def torchrun(*arguments: str, program: str | None = None, **environment: str) -> subprocess.Popen:
    command = torchrun_command(2, program or "spaceport_gaussian")
    if program is None:
        command += arguments
    else:
        command = [*command[: command.index("-m")], program, *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def pair(dense_folder, tmp_path_factory) -> Path:
    """What two processes told after training together."""
    out = tmp_path_factory.mktemp("pair")
    (out / "process.py").write_text(PROCESS)
    team = torchrun(str(dense_folder), str(out), TUNING.model_dump_json(), program=str(out / "process.py"))
    _, err = team.communicate(timeout=120)
    assert team.returncode == 0, err[-3_000:]
    return out


def told(pair: Path) -> list[dict]:
    return [json.loads((pair / f"{rank}.json").read_text()) for rank in range(2)]


def test_a_step_is_taken_by_the_mean_gradient_of_all_photos(pair):
    assert [numbers["error"] < 1e-5 for numbers in told(pair)] == [True, True]


def test_processes_keep_the_same_splat_bit_by_bit(pair):
    first, second = (torch.load(pair / f"{rank}.pt", weights_only=True) for rank in range(2))

    assert first["iterations"] == second["iterations"] == 60
    for name, tensor in first["splat"].items():
        assert torch.equal(tensor, second["splat"][name]), name
    assert torch.equal(first["pull"], second["pull"])
    assert torch.equal(first["draw"], second["draw"])
    assert first["waiting"] == second["waiting"]
    assert torch.equal(first["average"]["means"], second["average"]["means"])
    for one, other in zip(first["corrections"]["values"], second["corrections"]["values"], strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one[0], one[1])  # each photo has its own
    assert len(told(pair)[0]["counts"]) > 1  # there were edits to agree on


def test_processes_learn_from_different_photos_in_rounds_over_all(pair):
    first, second = (numbers["seen"] for numbers in told(pair))

    assert all(one != other for one, other in zip(first, second, strict=True) if one is not None)
    in_turn = [photo for both in zip(first, second, strict=True) for photo in both]
    assert sorted(in_turn[:7]) == sorted(in_turn[7:14]) == list(range(7))


def test_only_the_first_process_decides(pair):
    assert [numbers["first"] for numbers in told(pair)] == [0, 0]


def test_two_processes_learn(pair, survey):
    material = prepare(survey, TUNING, CPU)
    together = Splat.of(torch.load(pair / "0.pt", weights_only=True)["splat"])

    untaught = mean_psnr(start(material).splat, material.held.at(1.0))
    assert mean_psnr(together, material.held.at(1.0)) > untaught + 1


def test_schedules_count_photos_not_iterations():
    one = recipe_for(TUNING, 1_500)
    four = recipe_for(TUNING, 1_500, batch=4)

    assert (one.stopping.max_iterations, four.stopping.max_iterations) == (120, 30)
    assert four.stopping.patience * 4 == one.stopping.patience
    assert four.resolution.scale_at(8) == one.resolution.scale_at(32)
    assert four.rates.means == pytest.approx(2 * one.rates.means)
    assert four.rates.sh_rest == pytest.approx(2 * one.rates.sh_rest)
    assert recipe_for(TUNING, 1_500, batch=1) == one


def test_who_is_alone_waits_for_nobody():
    values = torch.ones(3)
    ALONE.add_up([values])

    assert values.tolist() == [1, 1, 1]
    assert ALONE.as_first(lambda: 7) == 7
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)


def wait_for_iterations(team: subprocess.Popen) -> None:
    for line in team.stdout:
        parsed = parse_line(line)
        if parsed and parsed.metrics.get("iteration", 0) > 0:
            return
    raise AssertionError(team.communicate())


def test_the_program_of_two_is_stopped_and_goes_on(dense_folder, tmp_path):
    # Given the real program, twice, with iterations for longer than this test waits
    tuning = TUNING.model_copy(update={"max_iterations": 3_000, "psnr_plateau_termination": False})
    for folder in ("input/data", "input/config"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "input/data/scene").symlink_to(dense_folder)
    hyperparameters = tmp_path / "input/config/hyperparameters.json"
    hyperparameters.write_text(json.dumps(tuning.to_strings()))
    team = torchrun(SPACEPORT_ML_ROOT=str(tmp_path))
    wait_for_iterations(team)

    # When the stop comes, to `torchrun`, as SageMaker sends it
    team.send_signal(signal.SIGTERM)
    began = time.monotonic()
    team.communicate(timeout=60)

    # Then the first process saves in time
    assert time.monotonic() - began < 8
    saved = torch.load(tmp_path / "checkpoints/training.pt", weights_only=True)["state"]["run"]["iterations"]
    assert 0 < saved < 1_500

    # and both go on from there, when they are started again
    team = torchrun(SPACEPORT_ML_ROOT=str(tmp_path))
    out, err = team.communicate(timeout=120)
    assert team.returncode == 0, err
    lines = [parse_line(line) for line in out.splitlines()]
    assert min(line.metrics["iteration"] for line in lines if "iteration" in line.metrics) > saved
    assert [line.progress for line in lines] == sorted(line.progress for line in lines)  # one process tells
    report = TrainingReport.model_validate_json((tmp_path / "model/metrics.json").read_text())
    assert (report.iterations, report.batch, report.stopped_by) == (1_500, 2, StoppedBy.MAX_ITERATIONS)
