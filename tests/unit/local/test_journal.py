"""The engine's journal: what a kill leaves is read again, and a save makes it superfluous."""

from __future__ import annotations

from pathlib import Path

from spaceport_local.journal import Journal


def test_entries_are_there_for_the_next_engine(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.append("item", {"id": 1})
    first.append("execution", "e")
    first.append("item", {"id": 2})
    # No close: a killed engine closes nothing
    assert Journal(tmp_path).earlier("item") == [{"id": 1}, {"id": 2}]
    assert Journal(tmp_path).earlier("execution") == ["e"]


def test_saved_entries_are_forgotten_and_later_ones_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("item", "before")
    superfluous = journal.rotate()
    journal.append("item", "during the save")
    journal.forget(superfluous)
    assert Journal(tmp_path).earlier("item") == ["during the save"]


def test_a_save_that_did_not_end_loses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("item", "before")
    journal.rotate()
    journal.append("item", "during the save")
    next_one = Journal(tmp_path)
    assert next_one.earlier("item") == ["before", "during the save"]
    # And the next engine's first save makes all of it superfluous
    next_one.forget(next_one.rotate())
    assert Journal(tmp_path).earlier("item") == []


def test_promised_work_is_unfinished_until_it_is_done_however_many_saves_come(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    done, open_one = journal.begin("call", ["a"]), journal.begin("call", ["b"])
    journal.finish(done)
    journal.forget(journal.rotate())
    after = Journal(tmp_path)
    assert [task.details for task in after.unfinished()] == [["b"]]
    assert after.begin("call", ["c"]).id != open_one.id
    after.finish(after.unfinished()[0])
    assert [task.details for task in Journal(tmp_path).unfinished()] == [["c"]]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    Journal(tmp_path).append("item", "whole")
    (segment,) = tmp_path.iterdir()
    with segment.open("ab") as file:
        file.write(b'["item","to')
    assert Journal(tmp_path).earlier("item") == ["whole"]
