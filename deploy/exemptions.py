"""What the checks of the templates, the state machine and the images leave out, each with its reason.

Read from where the checks themselves read it, so that a list of them is never behind.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

TEMPLATES = ("template.yaml", "registry.yaml")


@dataclass(frozen=True)
class Exemption:
    """`check` doesn't ask `rule` of `subject`, because of `reason`; empty where nobody has written one."""

    check: str
    rule: str
    subject: str
    reason: str


def exemptions(repository: Path) -> list[Exemption]:
    return [
        *_checkov_everywhere((repository / ".checkov.yaml").read_text()),
        *(found for name in TEMPLATES for found in _in_template(repository / name)),
        *_statelint(repository / "statemachine" / "lint.py"),
        *(
            found
            for file in sorted(repository.glob("containers/*/Dockerfile"))
            for found in _hadolint(file.read_text(), str(file.relative_to(repository)))
        ),
    ]


def _checkov_everywhere(settings: str) -> Iterator[Exemption]:
    """Each entry of skip-check is below a comment with its reason."""
    comment: list[str] = []
    for line in settings.partition("skip-check:")[2].splitlines():
        if text := re.match(r"\s*# (.*)", line):
            comment.append(text[1])
        elif rule := re.match(r"\s*- (\w+)", line):
            yield Exemption("checkov", rule[1], "every resource", " ".join(comment))
            comment = []


def _in_template(file: Path) -> Iterator[Exemption]:
    """What a resource's Metadata says to checkov and cfn-lint. The latter's reasons are in comments."""
    text = file.read_text()
    resources: dict[str, Any] = yaml_parse(text)["Resources"]
    for name, resource in resources.items():
        metadata = resource.get("Metadata", {})
        for skip in metadata.get("checkov", {}).get("skip", []):
            yield Exemption("checkov", skip["id"], name, skip.get("comment", ""))
        for rule in metadata.get("cfn-lint", {}).get("config", {}).get("ignore_checks", []):
            reason = re.search(rf"# {rule}: (.*)", text)
            yield Exemption("cfn-lint", rule, name, reason[1] if reason else "")


def _statelint(linter: Path) -> Iterator[Exemption]:
    tables = runpy.run_path(str(linter), run_name="linter")
    for problem, reason in tables["NO_PROBLEMS"].items():
        place, _, rest = problem.partition(" is ")
        yield Exemption("statelint", rest.split(" but ")[-1], place.rpartition("States.")[2], reason)
    for kind, reason in tables["IGNORED"].items():
        yield Exemption("statelint", kind.name, "every number", reason)


def _hadolint(dockerfile: str, name: str) -> Iterator[Exemption]:
    for rule, reason in re.findall(r"^# hadolint ignore=(\w+)(?: # (.*))?$", dockerfile, re.MULTILINE):
        yield Exemption("hadolint", rule, name, reason)
