"""The template as the fast path deploys it."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_local.deploy import Deployment, with_defaults
from spaceport_local.endpoint import Endpoint
from spaceport_local.template import Document, fingerprint, read_template, zip_folder

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  SfmImageUri: {Type: String, Default: spaceport/sfm:latest}
Globals:
  Function: {Runtime: python3.12, Layers: [!Ref Contract], CodeUri: shared/}
Resources:
  Contract: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer/}}
  One: {Type: AWS::Serverless::Function, Properties: {CodeUri: one/, Layers: [!Ref Contract, x]}}
  Two: {Type: AWS::Serverless::Function}
  Three:
    Type: AWS::Serverless::Function
    Properties: {InlineCode: 'pass', Runtime: python3.13, Policies: [!Sub '${One}', !GetAtt [One, Arn]]}
  Stored: {Type: AWS::Serverless::Function, Properties: {CodeUri: s3://bucket/key}}
  Machine: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: machine.json}}
Outputs:
  Layer: {Value: !Sub ['${L}', {L: !Ref Contract}]}
  Arn: {Value: !GetAtt One.Arn}
"""


class Stored:
    """Keeps what is stored."""

    def __init__(self) -> None:
        self.names: dict[str, bytes] = {}

    def __call__(self, name: str, content: bytes) -> Document:
        self.names[name] = content
        return {"Bucket": "b", "Key": name}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("one", "shared"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.py").write_text(f"# {folder}")
    (tmp_path / "machine.json").write_text("{}")
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path


def names_in(packed: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return archive.namelist()


def test_code_and_definitions_are_stored_and_layers_left_out(project: Path) -> None:
    stored = Stored()
    document = read_template(project / "template.yaml").packaged(stored)
    resources = document["Resources"]
    assert sorted(stored.names) == ["One.zip", "Two.zip", "machine.json"]
    assert "Contract" not in resources
    assert resources["One"]["Properties"] == {"CodeUri": {"Bucket": "b", "Key": "One.zip"}}
    assert resources["Two"]["Properties"] == {"CodeUri": {"Bucket": "b", "Key": "Two.zip"}}
    assert resources["Stored"]["Properties"] == {"CodeUri": "s3://bucket/key"}
    assert "CodeUri" not in resources["Three"]["Properties"]
    assert resources["Machine"]["Properties"]["DefinitionUri"] == {"Bucket": "b", "Key": "machine.json"}
    assert document["Globals"] == {"Function": {"Runtime": "python3.12"}}
    assert document["Outputs"] == {"Arn": {"Value": {"Fn::GetAtt": ["One", "Arn"]}}}


def test_short_forms_become_long_ones(project: Path) -> None:
    template = read_template(project / "template.yaml")
    assert template.document["AWSTemplateFormatVersion"] == "2010-09-09"
    policies = template.document["Resources"]["Three"]["Properties"]["Policies"]
    assert policies == [{"Fn::Sub": "${One}"}, {"Fn::GetAtt": ["One", "Arn"]}]


def test_runtimes_and_images_are_known(project: Path) -> None:
    template = read_template(project / "template.yaml")
    assert template.runtimes == {"python3.12", "python3.13"}
    assert list(template.image_defaults()) == ["spaceport/sfm:latest"]


def test_product_template_packs(repository: Path) -> None:
    stored = Stored()
    document = read_template(repository / "template.yaml").packaged(stored)
    assert "pipeline.asl.json" in stored.names
    assert all(names_in(code) for name, code in stored.names.items() if name.endswith(".zip"))
    assert "AWS::Serverless::LayerVersion" not in str(document)


def test_missing_code_is_named(project: Path) -> None:
    (project / "one" / "app.py").unlink()
    (project / "one").rmdir()
    with pytest.raises(UserError, match=r"One\.CodeUri is one/") as refused:
        read_template(project / "template.yaml").packaged(Stored())
    assert refused.value.code == "missing_code"


@pytest.mark.parametrize("text", ["a: [", "- just a list", ""])
def test_what_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "template.yaml").write_text(text)
    with pytest.raises(UserError, match=r"template\.yaml") as refused:
        read_template(tmp_path / "template.yaml")
    assert refused.value.code == "bad_template"


def test_zip_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    # Given two folders of the same files, written at other times, one with caches
    for folder, when in (("a", 1_000_000_000), ("b", 1_700_000_000)):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for name in ("z.py", "deep/a.py"):
            file = tmp_path / folder / name
            file.write_text(name)
            os.utime(file, (when, when))
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "z.pyc").write_bytes(b"1")
    # Then their zips are the same
    assert zip_folder(tmp_path / "a") == zip_folder(tmp_path / "b")
    assert names_in(zip_folder(tmp_path / "b")) == ["deep/a.py", "z.py"]
    (tmp_path / "b" / "z.py").write_text("changed")
    assert zip_folder(tmp_path / "a") != zip_folder(tmp_path / "b")


def test_a_parameter_that_the_template_does_not_have_is_named(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    template = read_template(file)
    given = Deployment(Endpoint(1), file, {"SfmImageUri": "another"})
    assert given._parameters(template, None) == {"SfmImageUri": "another"}
    with pytest.raises(UserError, match="no parameter 'Sfm'") as error:
        Deployment(Endpoint(1), file, {"Sfm": "x"})._parameters(template, None)
    assert "SfmImageUri" in error.value.hint


def test_what_is_deployed_once_is_current_whatever_its_parameters_are(tmp_path: Path) -> None:
    # Given a template that is deployed with a parameter, which becomes its default for MiniStack
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    document = read_template(file).document
    before = fingerprint(document)
    sent = with_defaults(document, {"SfmImageUri": "another"})
    assert sent["Parameters"]["SfmImageUri"] == {"Type": "String", "Default": "another"}
    assert {**sent, "Parameters": None} == {**document, "Parameters": None}
    # Then the second round, and the next `up`, find the template that it was made of
    assert fingerprint(document) == before
