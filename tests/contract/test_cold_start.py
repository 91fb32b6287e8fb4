"""What a handler imports, each in a process of its own: nothing that delays its start for nothing.

No times: they are the machine's (`bench/cold_start.py` measures them).
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent for path in (ROOT / "functions").glob("*/app.py"))
# Lambda's own, and the layer's.
LIBRARIES = {
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "certifi"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    *("aws_lambda_powertools", "spaceport"),
}
# Slow, and there is another way: medians by hand, ranged reads of our own, no second model of each event.
SLOW = {
    *("statistics", "unittest"),
    *("aws_lambda_powertools.utilities.parser", "aws_lambda_powertools.utilities.streaming"),
    "aws_lambda_powertools.utilities.validation",
}
ROUTER = "aws_lambda_powertools.event_handler"
TELL = """
import json, runpy, sys
before = set(sys.modules)
runpy.run_path(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by(function: Path) -> set[str]:
    """The modules that importing the handler loads."""
    app = function / "app.py"
    fields = [
        part.target.id.upper()
        for node in ast.walk(ast.parse(app.read_text()))
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    ]
    special = {
        "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:1:stateMachine:x",
        "WEBSOCKET_ENDPOINT": "https://x",
    }
    told = subprocess.run(
        [sys.executable, "-c", TELL, str(app)],
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"} | {n: special.get(n, "1") for n in fields},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return set(json.loads(told.stdout.splitlines()[-1]))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_handler_imports_nothing_that_its_start_can_do_without(function: Path):
    modules = imported_by(function)
    tops = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert {top for top in tops if not top.startswith(("_", "google"))} <= LIBRARIES
    assert not modules & SLOW
    assert (ROUTER in modules) == (function.name in {"serve_api", "share_results", "serve_shared"})
