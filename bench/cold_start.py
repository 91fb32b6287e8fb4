"""How long each function takes to be imported, in a process of its own: `python bench/cold_start.py [RUNS]`.

Wall time and CPU time, medians, beside those of boto3 with one client, which no handler can do without. A
machine with other work on it has long wall times; CPU time tells more then. On Lambda a cold start has a
runtime's own start on top, and as much CPU as a few of them share. All bytecode is there, as in the layer.
"""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parents[1]
TIMED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{source}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
BARE = 'import boto3; boto3.client("dynamodb", region_name="us-east-1")'
HANDLER = "import runpy; runpy.run_path({path!r})"


def settings_for(app: Path) -> dict[str, str]:
    """An environment that the handler's settings accept."""
    classes = (node for node in ast.walk(ast.parse(app.read_text())) if isinstance(node, ast.ClassDef))
    fields = [
        part.target.id.upper()
        for node in classes
        if node.name == "Settings"
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    ]
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:pipeline"
    special = {"STATE_MACHINE_ARN": machine, "WEBSOCKET_ENDPOINT": "https://example.org/prod"}
    return {name: special.get(name, "1") for name in fields}


def timed(source: str, environment: dict[str, str], runs: int) -> tuple[float, float]:
    """Wall and CPU milliseconds of `source`, medians."""
    told = [
        subprocess.run(
            [sys.executable, "-c", TIMED.format(source=source)],
            env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1", **environment},
            check=True, capture_output=True, text=True,
        ).stdout.split()
        for _ in range(runs)
    ]  # fmt: skip
    wall, cpu = (statistics.median(float(run[i]) * 1000 for run in told) for i in (-2, -1))
    return wall, cpu


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{machine('boto3', 'pydantic', 'aws-lambda-powertools')}; medians of {runs}")
    print(f"{'':<20} {'wall, ms':>9} {'CPU, ms':>8}")
    with tempfile.TemporaryDirectory() as bytecode:
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, source, environment in [
            ("(boto3 alone)", BARE, {}),
            *(
                (app.parent.name, HANDLER.format(path=str(app)), settings_for(app))
                for app in sorted((ROOT / "functions").glob("*/app.py"))
            ),
        ]:
            timed(source, environment, 1)  # the files, and their bytecode, are in memory after this
            wall, cpu = timed(source, environment, runs)
            print(f"{name:<20} {wall:>9.0f} {cpu:>8.0f}")


if __name__ == "__main__":
    main()
