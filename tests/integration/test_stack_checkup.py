"""`spaceport doctor --stack` on the local cloud: what an engine can answer as AWS does, it says of itself."""

from __future__ import annotations

import pytest

from spaceport.prices import OWN_MACHINE
from spaceport_cli.account import Account
from spaceport_cli.stack_checkup import LOG_GROUPS, findings
from spaceport_local.deploy import STACK
from spaceport_local.endpoint import ADMINISTRATOR

pytestmark = pytest.mark.engine


def test_a_deployed_stack_is_found_whole_and_what_the_engine_lacks_is_told(stack, monkeypatch):
    # Given the caller's own settings, for boto3 to find
    meta = stack.cloud.client("s3").meta
    for name, value in {
        "AWS_ENDPOINT_URL": meta.endpoint_url,
        "AWS_DEFAULT_REGION": meta.region_name,
        "AWS_ACCESS_KEY_ID": ADMINISTRATOR.key,
        "AWS_SECRET_ACCESS_KEY": ADMINISTRATOR.secret,
    }.items():
        monkeypatch.setenv(name, value)

    # When the stack is looked at
    found = list(findings(Account(), STACK))

    # Then what is there is seen
    told = {(one.name, one.passed): one.told for one in found}
    assert OWN_MACHINE in told["credentials", True]
    assert told["stack", True].startswith(STACK)
    filters = [one.told for one in found if one.name == "log filters" and one.passed]
    assert [line.split(":")[0] for line in filters] == list(LOG_GROUPS)
    assert all("the stack's" in line for line in filters)
    assert told["state machine", True] == "ACTIVE"
    assert stack.output("UploadsBucket") in told["notifications", True]
    # And what only AWS has is said to be missing, or not told: its images are names of programs here
    assert [one.name for one in found if one.passed is False] == ["image"] * 3
    assert {one.name for one in found if one.passed is None} <= {"quotas", "price"}

    # And of one that is not there, that
    (missing,) = [one for one in findings(Account(), "nowhere") if one.name == "stack"]
    assert missing.passed is False
    assert "make deploy" in missing.mend
