"""The ledger: what has ended is not done again, whatever else happened to the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from spaceport.errors import UserError
from spaceport_sfm.phases import Ledger, Phase, fingerprint, fresh


class Model(BaseModel):
    name: str
    points: int


@dataclass(frozen=True)
class Record:
    models: tuple[Model, ...]


def unexpected() -> Model:
    raise AssertionError("this phase has ended in an earlier run")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (Model, Model(name="größte", points=7)),
        (Record, Record((Model(name="a", points=1),))),
        (type(None), None),
        (int, 3),
    ],
)
def test_an_ended_phase_gives_its_result_again_without_its_work(work, kind, result):
    Ledger.open(work, "inputs").run(Phase.MAPPING, kind, lambda: result)

    again = Ledger.open(work, "inputs").run(Phase.MAPPING, kind, unexpected)

    assert again == result


def test_a_phase_that_failed_is_run_again_and_the_one_before_is_not(work):
    ledger = Ledger.open(work, "inputs")
    ledger.run(Phase.FEATURES, int, lambda: 1)
    with pytest.raises(RuntimeError):
        ledger.run(Phase.MATCHING, int, lambda: (_ for _ in ()).throw(RuntimeError))

    ledger = Ledger.open(work, "inputs")

    assert ledger.doing() == Phase.MATCHING.doing
    assert ledger.run(Phase.FEATURES, int, unexpected) == 1
    assert ledger.run(Phase.MATCHING, int, lambda: 2) == 2


def test_other_inputs_start_anew_and_leave_nothing_of_the_old(work):
    ledger = Ledger.open(work, "these photos")
    ledger.run(Phase.FEATURES, int, lambda: 1)
    fresh(work / "mapper" / "0")
    (work / "database.db").write_bytes(b"features")

    ledger = Ledger.open(work, "other photos")

    assert ledger.times() == []
    assert {path.name for path in work.iterdir()} == {"inputs", "ledger"}
    assert ledger.run(Phase.FEATURES, int, lambda: 2) == 2


def test_a_folder_of_somebody_else_is_left_alone(work):
    work.mkdir()
    (work / "thesis.doc").write_text("years of work")

    with pytest.raises(UserError) as told:
        Ledger.open(work, "inputs")

    assert told.value.code == "work_folder_taken"
    assert (work / "thesis.doc").read_text() == "years of work"


def test_a_phase_whose_files_are_gone_is_run_again_with_all_after_it(work):
    ledger = Ledger.open(work, "inputs")
    sparse = fresh(work / "sparse")
    ledger.run(Phase.MAPPING, int, lambda: 1, leaves=[sparse])
    ledger.run(Phase.PLACEMENT, int, lambda: 1)
    sparse.rmdir()

    ledger = Ledger.open(work, "inputs")

    assert ledger.run(Phase.MAPPING, int, lambda: 2, leaves=[sparse]) == 2
    assert ledger.run(Phase.PLACEMENT, int, lambda: 2) == 2


def test_times_are_in_the_order_of_the_phases_and_hold_those_of_children(work):
    ledger = Ledger.open(work, "inputs")
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    ledger.run(Phase.FEATURES, type(None), lambda: time.sleep(0.2))
    ledger.run(Phase.MATCHING, int, lambda: subprocess.call([sys.executable, "-c", burn]))

    features, matching = Ledger.open(work, "inputs").times()

    assert (features.name, matching.name) == ("features", "matching")
    assert matching.cpu_seconds >= 0.5
    assert features.seconds >= 0.2
    assert features.cpu_seconds < 0.15


def test_a_fingerprint_tells_contents_names_and_settings_apart_but_no_dates(tmp_path):
    folder = fresh(tmp_path / "photos")
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "b.jpg").write_bytes(b"b")
    seen = [fingerprint(folder), fingerprint(folder, settings=["seed 1"])]
    os.utime(folder / "a.jpg", (1, 1))
    assert fingerprint(folder) == seen[0]

    (folder / "b.jpg").write_bytes(b"c")
    seen.append(fingerprint(folder))
    (folder / "b.jpg").rename(folder / "c.jpg")
    seen.append(fingerprint(folder))

    assert len(set(seen)) == 4
