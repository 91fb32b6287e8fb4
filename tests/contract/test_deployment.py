"""What holds the template together with what is said of it outside: the command, the settings, the docs."""

from __future__ import annotations

from pathlib import Path

from spaceport_cli.stack_checkup import DEFAULTS, LOG_GROUPS, OUTPUTS, READERS_OF_LOGS
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml").document
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]


def test_the_doctor_knows_the_defaults_and_the_outputs():
    assert {name: str(PARAMETERS[name]["Default"]) for name in DEFAULTS} == DEFAULTS
    assert set(OUTPUTS) <= set(TEMPLATE["Outputs"])


def test_the_doctor_looks_for_the_filters_that_the_template_makes():
    filters = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Logs::SubscriptionFilter"]
    assert {one["LogGroupName"] for one in filters} == set(LOG_GROUPS)
    assert all(one["DestinationArn"] == {"Fn::GetAtt": [READERS_OF_LOGS, "Arn"]} for one in filters)
