"""`make check-aws`: what counts as good, and that no exception goes unexplained."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from check_aws import CHECKS, ROOT, Check, outcome_of
from exemptions import Exemption, exemptions

TESTS = Check("tests", "something", ("pytest",), r"\d+ passed.*")


@pytest.mark.parametrize(
    ("code", "output", "good"),
    [
        (0, "3 passed in 1.20s", True),
        (1, "1 failed, 2 passed in 1.20s", False),
        (0, "2 skipped in 0.10s", False),  # nothing was shown
    ],
)
def test_a_check_is_good_where_something_was_run_and_nothing_failed(code, output, good):
    assert outcome_of(TESTS, code, output, 1.0).good is good


def test_what_was_skipped_is_told_with_its_reason():
    output = "SKIPPED [1] tests/x.py:3: the real test photos are not there\n3 passed, 1 skipped in 1.20s"
    assert outcome_of(TESTS, 0, output, 1.0).skipped == (
        "SKIPPED [1] tests/x.py:3: the real test photos are not there",
    )


@pytest.fixture(scope="module")
def found(repository: Path) -> list[Exemption]:
    return exemptions(repository)


def test_every_exception_has_its_reason(found: list[Exemption]):
    assert [exemption for exemption in found if not exemption.reason] == []
    assert set(Counter(exemption.check for exemption in found)) == {
        *("checkov", "cfn-lint", "statelint", "hadolint")
    }


def test_no_exception_is_overlooked(repository: Path, found: list[Exemption]):
    # Given all places that could hold one, read in the simplest way
    files = [".checkov.yaml", "template.yaml", "registry.yaml"]
    files += [str(file.relative_to(repository)) for file in repository.glob("containers/*/Dockerfile")]
    text = "\n".join((repository / name).read_text() for name in files)
    written = re.findall(r"(?:- |\bid: )(CKV\w+)|ignore_checks: \[(\w+)\]|hadolint ignore=(\w+)", text)
    # Then the list has as many
    assert len([exemption for exemption in found if exemption.check != "statelint"]) == len(written)


def test_what_is_run_is_there():
    for check in CHECKS:
        for word in check.command:
            if word.startswith(("tests/", "statemachine/")):
                assert (ROOT / word).exists(), word
