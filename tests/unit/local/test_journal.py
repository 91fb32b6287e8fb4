"""The engine's journal: what a kill leaves is read again, and a save makes it superfluous."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


def test_a_line_that_the_disk_has_no_room_for_leaves_nothing_of_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("item", "before")
    with file_size_limit(sum(segment.stat().st_size for segment in tmp_path.iterdir()) + 5):
        for write in (journal.append, journal.begin):
            with pytest.raises(OSError, match="File too large"):
                write("item", "refused")
    journal.append("item", "after")
    after = Journal(tmp_path)
    assert after.earlier("item") == ["before", "after"]
    # And what could not be promised is not done, even after a save
    journal.forget(journal.rotate())
    assert Journal(tmp_path).unfinished() == []


def test_a_segment_that_can_t_be_begun_leaves_the_last_one_in_use(tmp_path: Path) -> None:
    folder, aside = tmp_path / "journal", tmp_path / "aside"
    journal = Journal(folder)
    journal.append("item", "before")
    folder.rename(aside)
    folder.write_text("in the way")
    with pytest.raises(OSError, match="File exists"):
        journal.rotate()
    folder.unlink()
    aside.rename(folder)
    journal.append("item", "after")
    assert Journal(folder).earlier("item") == ["before", "after"]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """As a full disk: files can't grow beyond `size` bytes, and a write takes what still fits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
