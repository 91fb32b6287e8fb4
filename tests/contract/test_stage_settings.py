"""Which settings a program's help lists: those that its code reads, and no other stage's."""

import os
import re
import subprocess
import sys

import pytest

from spaceport.stage_settings import settings_of
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import TuningRequest

PROGRAMS = [
    (SFM, "sfm/spaceport_sfm"),
    (TRAINING, "gaussian/spaceport_gaussian"),
    (COMPRESSION, "compressor/spaceport_compressor"),
]
PRESET = {"preset"}  # what it brings is read under other names


@pytest.mark.parametrize(("stage", "package"), PROGRAMS)
def test_a_stage_has_the_settings_that_its_code_reads(repository, stage, package):
    sources = (repository / "containers" / package).rglob("*.py")
    read = {name for source in sources for name in re.findall(r"\btuning\.(\w+)", source.read_text())}
    fields = TuningRequest.model_fields.keys()
    assert set(settings_of(stage)) - PRESET == (read & fields) - PRESET


def test_no_setting_is_without_a_stage():
    assert {name for stage, _ in PROGRAMS for name in settings_of(stage)} == TuningRequest.model_fields.keys()


def test_the_help_lists_a_programs_own():
    told = subprocess.run(
        [sys.executable, "-m", "spaceport_compressor", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "crop_margin" in told
    assert "sfm_mapper" not in told


@pytest.mark.parametrize("module", ["spaceport_sfm", "spaceport_gaussian", "spaceport_compressor"])
def test_a_program_called_by_hand_without_arguments_tells_its_usage(module, tmp_path):
    nowhere = {**os.environ, "SPACEPORT_ML_ROOT": str(tmp_path / "nothing")}
    called = subprocess.run(
        [sys.executable, "-m", module], env=nowhere, capture_output=True, text=True, check=False
    )
    assert called.returncode == 2
    assert called.stderr.startswith("usage: ")
