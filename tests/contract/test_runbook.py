"""RUNBOOK.md tells of each alarm and of each error code that can come up, and of nothing that can't."""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_words import calls_in

from spaceport import metering
from spaceport.estimate import expected_seconds
from spaceport.metering import FAULTS
from spaceport.stages import JOB_STAGES
from spaceport.tuning import Preset, TuningRequest, resolve
from spaceport_local.filter_patterns import compile_pattern
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "RUNBOOK.md").read_text()
TEMPLATE = read_template(ROOT / "template.yaml").document
STATES = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())["States"]
# Minutes until SageMaker has a machine, of each of three jobs: assumed, and not billed.
WAIT_MINUTES = 3 * 2
ERRORS = {"UserError", "ErrorText", "JobError"}


def sections() -> dict[str, str]:
    """The text under each heading of the third level, by it."""
    parts = re.split(r"^### (.+)\n", RUNBOOK, flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for name, text in zip(*[iter(parts)] * 2, strict=True)
    }


def headings(under: str) -> list[str]:
    """The headings of the third level under one of the second."""
    (part,) = re.findall(rf"^## {re.escape(under)}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    return re.findall(r"^### (.+)$", part, re.MULTILINE)


def codes_in(file: Path) -> Iterator[str]:
    """The codes of the errors that a module makes."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in ERRORS:
            continue
        code = node.args[0]
        if isinstance(code, ast.Constant):
            yield str(code.value)
        elif isinstance(code, ast.JoinedStr):
            assert ast.unparse(code) == "f'{stage.name}_fault'", f"{file}: a code that this test can't read"
            yield from (f"{stage.name}_fault" for stage in JOB_STAGES)


def codes() -> set[str]:
    files = [
        file for folder in ("spaceport", "functions", "containers") for file in (ROOT / folder).rglob("*.py")
    ]
    return {code for file in files for code in codes_in(file)}


def alarms() -> set[str]:
    resources = TEMPLATE["Resources"]
    return {name for name, made in resources.items() if made["Type"] == "AWS::CloudWatch::Alarm"}


def test_every_alarm_and_every_code_has_its_heading():
    found = re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)
    assert sorted(found) == sorted(set(found)), "told twice"
    told = set(found)
    assert not (alarms() | codes()) - told, "say in RUNBOOK.md what each means, where it belongs"
    assert not told - alarms() - codes(), "told in RUNBOOK.md, and never comes up"
    assert all(text.strip() for text in sections().values())


def test_the_alarms_are_in_one_section_and_the_faults_in_another():
    assert set(headings("Alarms")) == alarms()
    assert set(headings("Faults: ours, AWS's, the machine's")) == FAULTS


def test_commands_name_what_the_stack_has():
    outputs = set(re.findall(r"\$\(out (\w+)\)", RUNBOOK))
    resources = set(re.findall(r"\$\(named (\w+)\)", RUNBOOK))
    parameters = set(re.findall(r"`([A-Z][a-z]\w+)=", RUNBOOK))
    assert outputs <= set(TEMPLATE["Outputs"])
    assert resources <= set(TEMPLATE["Resources"])
    assert parameters <= set(TEMPLATE["Parameters"])


def test_commands_are_such_as_a_shell_reads():
    blocks = re.findall(r"^```bash\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 2
    subprocess.run(["bash", "-n"], input="\n".join(blocks), text=True, check=True)


@pytest.mark.parametrize("page", ["RUNBOOK.md", "README.md"])
def test_commands_of_the_aws_cli_are_such_as_aws_knows(page):
    assert len(list(calls_in((ROOT / page).read_text()))) > 3  # raises for those that it does not


def test_sizes_and_limits_are_the_state_machines():
    volumes = {
        state: re.findall(r'"VolumeSizeInGB": (\d+)', json.dumps(definition))
        for state, definition in STATES.items()
    }
    (sfm,), (training,), (packing,) = (volumes[f"Run{stage}"] for stage in ("SfM", "Training", "Compression"))
    assert training == packing
    assert (
        f"{sfm} GB for camera poses, {training} GB for training and for compression"
        in sections()["disk_full"]
    )
    hours = [STATES[f"Run{stage}"]["TimeoutSeconds"] // 3600 for stage in ("SfM", "Training", "Compression")]
    assert "SfM's {} hours, training's {}, compression's {}".format(*hours) in RUNBOOK


def test_times_are_those_that_are_reckoned_before_a_job():
    kinds = re.search(r"^\| photos \|(.*)\|.*\|$", RUNBOOK, re.MULTILINE)[1].split("|")
    rows = re.findall(r"^\| (?:\d+ to )?(\d+) \| (\d+) \| (\d+) \| (\d+) \|", RUNBOOK, re.MULTILINE)
    assert len(rows) == 4
    for photos, *minutes in rows:
        for kind, told in zip(kinds, minutes, strict=True):
            preset, machine = re.search(r"`(\w+)`, (ml\.\S+)", kind).groups()
            seconds = expected_seconds(int(photos), resolve(TuningRequest(preset=Preset(preset))), machine)
            assert int(told) == math.ceil(sum(seconds.values()) / 60 + WAIT_MINUTES), (photos, kind)


def test_the_logs_have_what_their_patterns_look_for(monkeypatch, capsys):
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "spaceport")
    patterns = re.findall(r"(?:seen|asked) '([^']+)'", RUNBOOK)
    for pattern in patterns:
        matches = compile_pattern(pattern)  # raises PatternError
        if metric := re.match(r"\{ \$\.(\w+)\[0\] >", pattern):
            metering.observe(metric[1], 2)
            assert matches(capsys.readouterr().out), pattern
    assert len(patterns) > 5


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", RUNBOOK))))
def test_links_lead_somewhere(link: str):
    file, _, place = link.partition("#")
    if file and not file.startswith("https://"):
        assert (ROOT / file).exists()
    if place:
        titles = re.findall(r"^#+ (.+)$", (ROOT / (file or "RUNBOOK.md")).read_text(), re.MULTILINE)
        assert place in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
