"""`make deploy`: what is deployed, when it is refused, and what is said."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import deploy_stack
from deploy_stack import (
    IMAGE_PARAMETERS,
    Plan,
    check_account,
    check_images,
    next_steps,
    origin_to_allow,
    plan_of,
)
from spaceport.errors import UserError
from spaceport_cli.account import Caller, Stack, UntoldError

CONFIG = tomllib.loads((Path(__file__).resolve().parents[3] / "samconfig.toml").read_text())
IMAGES = {name: f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}@sha256:0" for name in IMAGE_PARAMETERS}
SITE = "https://d1.cloudfront.net/"


def test_what_is_given_beats_images_and_settings():
    plan = plan_of(CONFIG, "prod", IMAGES, {"Site": "false", "SfmImageUri": "mine"})
    assert plan.stack == "spaceport"
    assert plan.parameters["Site"] == "false"
    assert plan.parameters["SfmImageUri"] == "mine"
    assert plan.parameters["GaussianImageUri"] == IMAGES["GaussianImageUri"]
    assert plan.parameters["Environment"] == "prod"
    words = plan.sam_words(ask=True)
    assert "Site=false" in words[words.index("--parameter-overrides") :]
    assert "--no-confirm-changeset" in plan.sam_words(ask=False)


@pytest.mark.parametrize("name", ["staging", "registry"])
def test_an_environment_that_nobody_has_set_up_is_named_with_those_there_are(name):
    with pytest.raises(UserError, match=f"no {name}") as refused:
        plan_of(CONFIG, name, {}, {})
    assert refused.value.hint == "It has: dev, prod."


def test_a_stack_whose_jobs_could_not_start_is_not_deployed():
    with pytest.raises(UserError, match="SfmImageUri") as refused:
        check_images(plan_of(CONFIG, "dev", {}, {}), None)
    assert "make images" in refused.value.hint
    # But one that has its images may change in all else
    check_images(plan_of(CONFIG, "dev", {}, {}), Stack("UPDATE_COMPLETE", {}, IMAGES))
    check_images(plan_of(CONFIG, "dev", IMAGES, {}), None)


@pytest.mark.parametrize(
    ("outputs", "given", "origin"),
    [
        ({}, {}, None),
        ({"WebAppUrl": SITE, "WebOrigin": "https://none.invalid"}, {}, SITE.rstrip("/")),
        ({"WebAppUrl": SITE, "WebOrigin": SITE.rstrip("/")}, {}, None),
        ({"WebAppUrl": SITE, "WebOrigin": "https://mine.org"}, {"WebOrigin": "https://mine.org"}, None),
    ],
)
def test_the_sites_own_page_may_call_the_api_unless_another_was_named(outputs, given, origin):
    assert origin_to_allow(Plan("dev", "drones", given), outputs) == origin


def test_the_next_steps_name_the_stack_its_bucket_and_its_site():
    outputs = {"UploadsBucket": "drones-uploads", "WebAppUrl": SITE, "SiteHost": "d1.cloudfront.net"}
    told = next_steps(Plan("dev", "drones", {"DomainName": "splats.example.org"}), outputs)
    for word in ("doctor --stack drones", "s3://drones-uploads/", SITE, "point splats.example.org at d1."):
        assert word in told


class _Nobody:
    region = "us-east-1"

    def caller(self) -> Caller:
        raise UntoldError("no credentials were found", "Sign in.")


def test_without_an_account_it_says_so_and_how_to_do_without(monkeypatch, capsys):
    with pytest.raises(UserError, match="deploys to an AWS account, and no credentials") as refused:
        check_account(_Nobody())
    assert "make demo" in refused.value.hint
    with pytest.raises(UserError, match="No AWS region"):
        check_account(SimpleNamespace(region=None))
    # And the command ends so
    monkeypatch.setattr(deploy_stack, "Account", _Nobody)
    for words in ([], ["--check"]):
        assert deploy_stack.main(["--env", "dev", *words]) == 1
        assert "make demo" in capsys.readouterr().err


def test_a_build_without_lambdas_python_says_which(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=r"needs python3\.12"):
        deploy_stack.runtime_folder()
