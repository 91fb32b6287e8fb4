"""The edge of the job programs: exit codes and the message file that SageMaker passes on."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport.failure import explain
from spaceport.job_program import EXIT_FAULT, EXIT_USER_ERROR, MESSAGE_LIMIT, MlTree, run_program
from spaceport.stages import SFM


def test_success_exits_zero_and_leaves_no_message(tmp_path: Path, capsys):
    message = tmp_path / "output" / "message"
    assert run_program(SFM, message, lambda progress: progress(1.0)) == 0
    assert not message.exists()
    assert '"progress": 1.0' in capsys.readouterr().out


@pytest.mark.parametrize("word", ["word ", "Straße ", "фото ", "\U0001f681", '"\\'])
def test_a_user_error_is_left_for_the_state_machine_even_when_it_is_long(tmp_path: Path, word: str):
    # Given a program that fails with a very long message, of letters that JSON writes longer too
    def program(progress) -> None:
        raise UserError("bad_photos", word * 1000, "Mend it.")

    # When it runs
    message = tmp_path / "output" / "message"
    assert run_program(SFM, message, program) == EXIT_USER_ERROR
    # Then the file is whole JSON, short enough for SageMaker, and is understood at the other end
    text = message.read_text()
    assert MESSAGE_LIMIT - 100 < len(text) <= MESSAGE_LIMIT
    reason = f"AlgorithmError: {text}, exit code: 255"
    assert len(reason) <= 1024
    told = explain("States.TaskFailed", json.dumps({"FailureReason": reason}), "")
    assert (told.code, told.hint) == ("bad_photos", "Mend it.")


def test_a_fault_says_no_secrets_but_keeps_the_trace_in_the_log(tmp_path: Path, capfd):
    def program(progress) -> None:
        raise KeyError("internal detail")

    message = tmp_path / "message"
    assert run_program(SFM, message, program) == EXIT_FAULT
    assert "internal detail" not in message.read_text()


def test_a_full_disk_is_no_fault_of_ours(tmp_path: Path):
    def program(progress) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert run_program(SFM, tmp_path / "message", program) == EXIT_USER_ERROR
    assert json.loads((tmp_path / "message").read_text())["code"] == "disk_full"


def test_the_tree_is_opt_ml_unless_a_root_is_given():
    assert MlTree.from_environment({}).model == Path("/opt/ml/model")
    assert MlTree.from_environment({"SPACEPORT_ML_ROOT": "/x"}).processing_input("a") == Path(
        "/x/processing/input/a"
    )
