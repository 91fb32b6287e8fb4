"""bench/gaussian.py: cells of a benchmark are measured once, in a queue too, and tabled."""

from __future__ import annotations

import json

import gaussian
import pytest
from cell_queue import run_queue
from cell_tables import ablation, table

from spaceport.errors import UserError

SHORT = ("--trainer", "preview", "--size", "96", "--iterations", "20")


@pytest.fixture
def cell(dense_folder, tmp_path):
    def run(*arguments):
        assert gaussian.main([str(dense_folder), *SHORT, "--out", str(tmp_path), *arguments]) == 0
        return [json.loads(file.read_text()) for file in sorted(tmp_path.glob("*.json"))]

    return run


def test_a_cell_is_measured_on_its_split_once(cell, survey, tmp_path, capsys):
    # Given a cell that has been measured
    (measured,) = cell("--split", "first", "--decoded")
    (file,) = tmp_path.glob("*.json")
    written = file.stat().st_mtime_ns

    # When it is asked for again
    cell("--split", "first", "--decoded")

    # Then it has not been trained again
    assert file.stat().st_mtime_ns == written
    assert "is there already" in capsys.readouterr().out
    # And its numbers are those of the split's photos
    names = [view.camera.name for view in survey.views]
    assert measured["held"] == [view["name"] for view in measured["views"]] == [names[0], names[8]]
    assert measured["iterations"] == 20
    assert 0 < measured["seconds"] < measured["job_seconds"]
    assert measured["decoded"]["psnr"] == pytest.approx(measured["psnr"], abs=0.3)
    assert file.with_name(f"{file.stem}.jpg").exists()


def test_a_slip_in_a_setting_is_told_before_training(cell, tmp_path):
    with pytest.raises(UserError, match="densfy"):
        cell("--set", "densfy=none")
    assert not list(tmp_path.iterdir())


def test_a_queue_goes_on_after_a_cell_that_fails(dense_folder, tmp_path, capfd):
    queue = tmp_path / "queue.txt"
    short = " ".join(SHORT)
    queue.write_text(f"{tmp_path}/nowhere {short}\n{dense_folder} {short}  # this one is there\n\n")

    code = run_queue(queue, tmp_path / "out", jobs=1, minutes=5)

    told = capfd.readouterr().out
    assert code == 1
    assert f"FAILED {tmp_path}/nowhere" in told
    assert f"done {dense_folder}" in told
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


def test_a_queue_starts_nothing_when_its_time_is_over(dense_folder, tmp_path, capsys):
    queue = tmp_path / "queue.txt"
    queue.write_text(f"{dense_folder} {' '.join(SHORT)}\n")

    assert run_queue(queue, tmp_path / "out", jobs=2, minutes=0) == 1

    assert "NO TIME" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def made_cell(split, *settings, psnr, shared=False, **other):
    return {
        "scene": "field",
        "trainer": "balanced",
        "set": list(settings),
        "split": split,
        "seed": 0,
        "size": 96,
        "asked_iterations": None,
        "shared": shared,
        "machine": "2026-11-23, CPU, 2 cores, load 1.0",
        "gpu": None,
        "seconds": 4.0,
        "psnr": psnr,
        "psnr_corrected": psnr + 1,
        "ssim": 0.5,
        "detail": 0.4,
        "psnr_train": 25.0,
        "gaussians": 1000,
        "ply_mb": 0.2,
        "peak_mb": 30.0,
        **other,
    }


def test_an_ablation_compares_on_the_splits_that_both_have():
    cells = [
        made_cell("fifth", "robust=true", psnr=16.0),
        made_cell("first", "robust=true", psnr=18.0),
        made_cell("fifth", "robust=true", "dropout=0.1", psnr=17.5),
    ]

    rows = ablation(cells, base=["robust=true"]).splitlines()

    assert any("**balanced robust=true** | fifth, first | 17.00 " in row for row in rows)
    assert any("| dropout=0.1 | fifth | 17.50 (+1.50) " in row for row in rows)


def test_seconds_of_a_busy_machine_are_not_shown():
    alone = table([made_cell("fifth", psnr=16.0)])
    shared = table([made_cell("fifth", psnr=16.0, shared=True)])

    assert "training s" in alone
    assert "training s" not in shared


def test_a_stock_trainer_is_shown_at_its_best_and_at_its_end():
    last = {"iterations": 4000, "gaussians": 30_000, "psnr": 15.0}
    told = table([made_cell("fifth", psnr=16.0, trainer="gsplat-mcmc", iterations=2500, last=last)])

    assert "| gsplat-mcmc | 0 |" in told
    assert "| gsplat-mcmc, its end | 0 |" in told
    assert "15.00" in told
