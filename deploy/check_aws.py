"""`make check-aws`: everything short of an account that says whether AWS would take this, in one table.

`python deploy/check_aws.py`. Each check is the real tool's; the last ones deploy to the local engine, where
every role may do only what its policies allow, and run a flight. What a check leaves out is listed below.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exemptions import Exemption, exemptions

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "build"
SAM = str(TOOLS / "sam" / "bin" / "sam")
PYTEST = (sys.executable, "-m", "pytest", "-q", "-rs", "--no-header")
EVERYTHING_ON = "build/everything-on.yaml"  # checkov leaves out what is off by default
WIDTH = 110  # of the table where the output is no terminal


@dataclass(frozen=True)
class Check:
    """A tool, what it shows, and its command line. `counts` finds in its output what to say of a good end."""

    name: str
    shows: str
    command: tuple[str, ...]
    counts: str = ""


CHECKS = (
    Check("sam validate --lint", "template.yaml is a SAM template", (SAM, "validate", "--lint")),
    Check(
        "sam validate --lint",
        "registry.yaml too",
        (SAM, "validate", "--lint", "--template-file", "registry.yaml"),
    ),
    Check(
        "cfn-lint",
        "what CloudFormation would refuse",
        (str(Path(sys.executable).with_name("cfn-lint")), "template.yaml", "registry.yaml"),
    ),
    Check(
        "checkov",
        "security, with all on that a parameter may turn on",
        (str(TOOLS / "checkov" / "bin" / "checkov"), "--config-file", ".checkov.yaml"),
        r"Passed checks: .*",
    ),
    Check("statelint", "the state machine", (sys.executable, "statemachine/lint.py")),
    Check(
        "hadolint",
        "the images' Dockerfiles",
        (
            str(TOOLS / "hadolint" / "bin" / "hadolint"),
            *map(str, sorted(ROOT.glob("containers/*/Dockerfile"))),
        ),
    ),
    Check(
        "contract tests",
        "template, rights, code, images and runbook agree",
        (*PYTEST, "tests/contract", "-m", "not engine"),
        r"\d+ passed.*",
    ),
    Check(
        "images",
        "assembled, run as SageMaker does, stopped and resumed",
        (*PYTEST, "tests/integration/test_images.py"),
        r"\d+ passed.*",
    ),
    Check(
        "registry",
        "deployed by SAM; pushed to, by digest",
        (*PYTEST, "tests/integration/test_registry.py", "tests/unit/deploy"),
        r"\d+ passed.*",
    ),
    Check(
        "sam build, sam deploy",
        "IAM enforced; a flight through the state machine",
        (*PYTEST, "tests/integration/test_sam_deploy.py"),
        r"\d+ passed.*",
    ),
    Check(
        "least privilege",
        "IAM enforced; what no role may do",
        (*PYTEST, "tests/integration/test_least_privilege.py"),
        r"\d+ passed.*",
    ),
    Check(
        "whole pipeline",
        "IAM enforced; real photos to a viewable splat",
        (*PYTEST, "tests/integration/test_pipeline.py"),
        r"\d+ passed.*",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """How a check ended. `skipped`: the tests that could not be run here, with why."""

    check: Check
    good: bool
    said: str
    seconds: float
    skipped: tuple[str, ...]


def outcome_of(check: Check, code: int, output: str, seconds: float) -> Outcome:
    """What a tool's exit code and output come to. A check of which nothing was run is not good."""
    counted = re.findall(check.counts, output)[-1:] if check.counts else ["clean"]
    skipped = tuple(re.findall(r"^SKIPPED .*", output, re.MULTILINE))
    good = code == 0 and bool(counted)
    return Outcome(check, good, counted[0].strip("= ") if good else f"exit code {code}", seconds, skipped)


def run(check: Check) -> Outcome:
    """Run it; the whole output of one that fails goes to standard error."""
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env={
            **os.environ,
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
            "COLUMNS": str(WIDTH),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    outcome = outcome_of(check, done.returncode, done.stdout, time.monotonic() - began)
    if not outcome.good:
        print(f"{' '.join(check.command)}\n{done.stdout}", file=sys.stderr)
    return outcome


def told(outcomes: Sequence[Outcome], left_out: Sequence[Exemption]) -> Table:
    """The table, with what is left out below the checks."""
    table = Table(width=None if sys.stdout.isatty() else WIDTH)
    for name in ("check", "what it shows", "result", "seconds"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for outcome in outcomes:
        colour = "green" if outcome.good else "red"
        verdict = f"[{colour}]{'ok' if outcome.good else 'FAILED'}[/]: {outcome.said}"
        table.add_row(outcome.check.name, outcome.check.shows, verdict, f"{outcome.seconds:.0f}")
    table.add_section()
    for exemption in left_out:
        rule = f"not {exemption.rule}"
        table.add_row(exemption.check, exemption.subject, f"{rule}: {exemption.reason or '[red]WHY?[/]'}", "")
    for outcome in outcomes:
        for line in outcome.skipped:
            table.add_row(outcome.check.name, "not run here", line.removeprefix("SKIPPED "), "")
    return table


def main() -> int:
    """Run all; 0 where all are good and every exception has its reason."""
    everything = re.sub(r"^    Condition: .*\n", "", (ROOT / "template.yaml").read_text(), flags=re.MULTILINE)
    (ROOT / EVERYTHING_ON).write_text(everything)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    outcomes = []
    for check in CHECKS:
        outcomes.append(run(check))
        console.print(
            f"{'ok' if outcomes[-1].good else 'FAILED':7}{check.name}: {check.shows}", highlight=False
        )
    left_out = exemptions(ROOT)
    console.print(told(outcomes, left_out))
    return 0 if all(o.good for o in outcomes) and all(e.reason for e in left_out) else 1


if __name__ == "__main__":
    sys.exit(main())
