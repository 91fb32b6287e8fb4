"""Hostile and odd zips are judged, and their owner is told why.

docs/archives.md is the table of these cases; SPACEPORT_WRITE_DOCS=1 writes it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from odd_zips import REFUSED, TAKEN

from spaceport.archive import inspect
from spaceport.errors import UserError

TABLE = Path(__file__).parents[3] / "docs" / "archives.md"


@pytest.mark.parametrize("about", REFUSED)
def test_refused(about: str):
    content, code = REFUSED[about]
    with pytest.raises(UserError) as caught:
        inspect(io.BytesIO(content), "flight.zip")
    assert (caught.value.code, "flight.zip" in caught.value.message) == (code, True)
    assert caught.value.hint
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("about", TAKEN)
def test_taken(about: str):
    content, codes = TAKEN[about]
    contents = inspect(io.BytesIO(content), "flight.zip")
    assert len(contents.photos) >= 3
    assert tuple(warning.code for warning in contents.warnings) == codes
    assert all("flight.zip" in warning.message for warning in contents.warnings)


def test_the_table_in_the_docs_is_what_happens():
    rows = [f"| {about} | refused | {refusal(content)} |" for about, (content, _) in REFUSED.items()]
    rows += [f"| {about} | taken | {warnings(content)} |" for about, (content, _) in TAKEN.items()]
    text, _, _ = TABLE.read_text().partition("| what comes in |")
    table = "\n".join(
        ["| what comes in | what becomes of it | what you are told |", "| --- | --- | --- |", *rows]
    )
    if os.environ.get("SPACEPORT_WRITE_DOCS") == "1":
        TABLE.write_text(f"{text}{table}\n")
    assert TABLE.read_text() == f"{text}{table}\n"


def refusal(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        inspect(io.BytesIO(content), "flight.zip")
    return f"`{caught.value.code}` {caught.value}"


def warnings(content: bytes) -> str:
    told = inspect(io.BytesIO(content), "flight.zip").warnings
    return " ".join(f"`{warning.code}` {warning.message}" for warning in told) or "nothing"
