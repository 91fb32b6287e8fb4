"""What can be found in the logs at night: every handler's lines name their job, and only their own."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
# Handlers that know no job, or not one: why.
NO_JOB = {
    "authorize_socket": "a ticket names a person",
    "broadcast_status": "many jobs at once, from many threads: each line names its own",
    "ensure_log_groups": "runs when the stack is deployed",
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handlers_lines_name_the_job_and_no_other_calls(function: str):
    source = (ROOT / "functions" / function / "app.py").read_text()
    assert ("logger.append_keys(job_id=" in source) == (function not in NO_JOB)
    # A warm function would go on naming the job of the call before.
    assert "@logger.inject_lambda_context(clear_state=True)\n" in source
