"""A full disk, whoever finds it out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning
from spaceport_sfm import disk, program
from spaceport_sfm.plan import ReconstructionPlan


@pytest.fixture
def plan(tmp_path: Path) -> ReconstructionPlan:
    (tmp_path / "photos").mkdir()
    return ReconstructionPlan(
        source=tmp_path / "photos",
        tuning=Tuning.from_environment({}),
        photo_folder=tmp_path / "out" / "extracted",
        output=tmp_path / "out" / "colmap",
        work=tmp_path / "out" / "work",
    )


def build(plan: ReconstructionPlan) -> UserError:
    with pytest.raises(UserError) as told:
        program.build_scene(plan, lambda *_, **__: None, StopSignal())
    return told.value


def crash(*_, **__) -> int:
    raise UserError("sfm_crashed", "The engine crashed while removing lens distortion (SIGSEGV).")


def hang(*_, **__) -> int:
    raise UserError("sfm_hung", "The engine hung while removing lens distortion.")


@pytest.mark.parametrize("engine", [crash, hang, lambda *_, **__: 1, lambda *_, **__: 70])
def test_an_engine_that_ends_badly_on_a_full_disk_is_told_to_have_had_no_room(plan, engine, monkeypatch):
    # Given a child that wrote nothing down, or could make the file of its message but not fill it
    def run(*arguments, **named):
        plan.message_file.touch()
        return engine(*arguments, **named)

    monkeypatch.setattr(program, "run_guarded", run)
    monkeypatch.setattr(disk, "FULL_BYTES", 1 << 60)

    error = build(plan)

    assert error.code == "disk_full"
    assert str(plan.work) in error.hint


def test_a_crash_with_room_on_the_disk_stays_one(plan, monkeypatch):
    monkeypatch.setattr(program, "run_guarded", crash)
    monkeypatch.setattr(disk, "FULL_BYTES", 0)

    assert build(plan).code == "sfm_crashed"


def test_a_disk_that_is_full_from_the_start_is_told(plan, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)

    assert build(plan).code == "disk_full"


def test_the_message_of_an_earlier_run_is_not_told_again(plan, monkeypatch):
    # Given a run that was refused
    def refuse(*_, **__):
        plan.message_file.write_text('{"code": "too_few_photos", "message": "Two photos.", "hint": ""}')
        return 1

    monkeypatch.setattr(program, "run_guarded", refuse)
    monkeypatch.setattr(disk, "FULL_BYTES", 0)
    assert build(plan).code == "too_few_photos"

    # When the next one dies without a word
    monkeypatch.setattr(program, "run_guarded", lambda *_, **__: 1)

    with pytest.raises(RuntimeError, match="exit code 1"):
        program.build_scene(plan, lambda *_, **__: None, StopSignal())
