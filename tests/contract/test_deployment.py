"""What holds the template together with what is said of it outside: the command, the settings, the docs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import cost
import pytest

from spaceport_cli.stack_checkup import DEFAULTS, LOG_GROUPS, OUTPUTS, READERS_OF_LOGS
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml").document
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]


def test_the_doctor_knows_the_defaults_and_the_outputs():
    assert {name: str(PARAMETERS[name]["Default"]) for name in DEFAULTS} == DEFAULTS
    assert set(OUTPUTS) <= set(TEMPLATE["Outputs"])


def test_the_doctor_looks_for_the_filters_that_the_template_makes():
    filters = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Logs::SubscriptionFilter"]
    assert {one["LogGroupName"] for one in filters} == set(LOG_GROUPS)
    assert all(one["DestinationArn"] == {"Fn::GetAtt": [READERS_OF_LOGS, "Arn"]} for one in filters)


def test_every_parameter_is_described_has_a_default_and_stands_in_one_group():
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in groups for name in group["Parameters"]]
    assert sorted(listed) == sorted(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert parameter["Description"].endswith("."), name
        assert "Default" in parameter, name
        if pattern := parameter.get("AllowedPattern"):
            assert re.fullmatch(pattern, str(parameter["Default"])), name


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_settings_of_an_environment_are_such_as_the_template_takes(environment: str):
    settings = SAMCONFIG[environment]["deploy"]["parameters"]
    given = dict(entry.split("=", 1) for entry in settings["parameter_overrides"])
    assert given["Environment"] == environment
    assert f"Environment={environment}" in settings["tags"]
    for name, value in given.items():
        assert value in map(str, PARAMETERS[name].get("AllowedValues", [value])), name
        assert value != str(PARAMETERS[name]["Default"]) or name == "Environment", f"{name} is its default"


def test_no_two_environments_are_one_stack():
    names = [SAMCONFIG[name]["deploy"]["parameters"]["stack_name"] for name in ("dev", "prod")]
    assert len(set(names)) == 2


def test_every_job_says_on_the_bill_whose_it_is():
    states = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())["States"]
    jobs = [state["Parameters"] for state in states.values() if "sagemaker" in state.get("Resource", "")]
    assert len(jobs) == 3
    for parameters in jobs:
        tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        assert tags == {"StackName": "${StackName}", "Environment": "${Environment}"}


def test_the_page_of_costs_holds_what_its_script_works_out():
    page = cost.DOCUMENT.read_text()
    assert cost.with_tables(page) == page, "python bench/cost.py --write"
