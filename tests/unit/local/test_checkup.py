"""What the local cloud finds out about a machine, and what it says of one that lacks something."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from spaceport_local import checkup
from spaceport_local.folders import DataFolder
from spaceport_local.launcher import Launcher

GROUP = "/aws/sagemaker/TrainingJobs"


@pytest.mark.parametrize(
    ("found", "passed"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 5), True), ((3, 14, 0), False)]
)
def test_the_pythons_that_it_takes(found, passed):
    assert checkup.check_python(found).passed is passed


def test_memory_and_disk_that_do_not_suffice_say_how_to_mend_it(tmp_path, monkeypatch):
    assert checkup.check_memory(4 * 10**9).passed
    assert checkup.check_memory(10**9).passed is False
    assert checkup.check_memory(None).passed is None

    assert checkup.check_disk(tmp_path / "not" / "there" / "yet").passed
    monkeypatch.setattr(checkup, "DISK_BYTES", 10**18)
    full = checkup.check_disk(tmp_path)
    assert (full.passed, "SPACEPORT_HOME" in full.mend) == (False, True)


def test_the_emulator_is_what_the_patches_expect():
    check = checkup.check_patches()

    assert check.passed, check.told


def test_an_emulator_that_was_changed_is_told(monkeypatch):
    spoilt = checkup.SEAMS_PROBE.replace("check(patches.SEAMS)", "check((seams,))").replace(
        "try:", "seams = patches.seams.Seam('app:app', 'another')\ntry:", 1
    )
    monkeypatch.setattr(checkup, "SEAMS_PROBE", spoilt)

    check = checkup.check_patches()

    assert check.passed is False
    assert "MiniStack's app:app is not what our patch was written for" in check.told


def test_a_job_package_that_can_t_be_imported_is_named_with_its_reason(monkeypatch):
    for old, new in (("'numba'", "'nomba'"), (", 'torch'", ""), ('found["torch"]', "False")):
        monkeypatch.setattr(checkup, "PACKAGES_PROBE", checkup.PACKAGES_PROBE.replace(old, new))

    packages, cuda = checkup.check_packages()

    assert packages.passed is False
    assert "nomba (No module named 'nomba')" in packages.told
    assert cuda.passed is None


def test_a_gpu_is_good_to_have_and_takes_gsplat():
    assert checkup.check_cuda("H200", "1.5.3").passed
    assert checkup.check_cuda("H200", None).passed is None
    assert "preview" in checkup.check_cuda(None, None).told


@pytest.mark.parametrize(
    ("functions", "passed"), [(("theirs", "x-RecordProgress-1"), True), (("theirs", "also-theirs"), False)]
)
def test_our_filter_must_be_among_those_of_the_log_group(functions, passed):
    logs = boto3.client("logs", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    filters = [{"destinationArn": f"arn:aws:lambda:::function:{name}"} for name in functions]
    with Stubber(logs) as recorded:
        recorded.add_response(
            "describe_subscription_filters", {"subscriptionFilters": filters}, {"logGroupName": GROUP}
        )
        check = checkup.check_filters(logs, GROUP)

    assert check.passed is passed
    assert "training jobs: 2 of at most 2" in check.told


def test_an_engine_that_is_down_is_told_and_needs_nothing(tmp_path, repository):
    folder = DataFolder(tmp_path)
    checks = list(checkup.Checkup(repository, folder, Launcher(folder, repository)).run())

    names = [check.name for check in checks]
    assert names.index("ministack") < names.index("local cloud") < names.index("chromium")
    down = next(check for check in checks if check.name == "local cloud")
    assert (down.passed, down.told) == (None, "down")
