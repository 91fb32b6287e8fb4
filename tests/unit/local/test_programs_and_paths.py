"""Which program runs for an image, where data lie, which Python runs the functions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_local.endpoint import Endpoint
from spaceport_local.folders import default_data_folder, find_project
from spaceport_local.interpreters import can_import, choose_interpreter
from spaceport_local.sagemaker.jobs import Place
from spaceport_local.sagemaker.programs import VIEWER, Programs, short_name
from spaceport_local.sagemaker.record import ClientFaultError
from spaceport_local.sagemaker.shapes import violations
from spaceport_local.sagemaker.transfer import split_uri


@pytest.mark.parametrize(
    "image",
    [
        "sfm",
        "spaceport/sfm",
        "spaceport/sfm:latest",
        "000000000000.dkr.ecr.us-east-1.amazonaws.com/spaceport/sfm@sha256:abc",
        "registry.example:5000/a/b/sfm:1.2",
    ],
)
def test_short_name_of_an_image(image: str) -> None:
    assert short_name(image) == "sfm"


def test_programs_of_the_images(tmp_path: Path) -> None:
    (tmp_path / VIEWER).mkdir(parents=True)
    programs = Programs(tmp_path)
    assert programs.find("spaceport/sfm:latest").command == (sys.executable, "-m", "spaceport_sfm")
    assert programs.find("spaceport/gaussian").environment == {}
    compressor = programs.find("spaceport/compressor:latest")
    assert compressor.environment == {"SPACEPORT_VIEWER_DIR": str(tmp_path / VIEWER)}


def test_script_stands_in_for_a_program(tmp_path: Path) -> None:
    programs = Programs(tmp_path, {"sfm": tmp_path / "mine.py"})
    assert programs.find("spaceport/sfm").command == (sys.executable, str(tmp_path / "mine.py"))


def test_unknown_image_and_missing_viewer_are_told(tmp_path: Path) -> None:
    with pytest.raises(ClientFaultError, match="there are: compressor, gaussian, sfm"):
        Programs(tmp_path).find("spaceport/nothing")
    with pytest.raises(ClientFaultError, match="npm ci"):
        Programs(tmp_path).find("spaceport/compressor")


def test_project_is_found_upwards(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(tmp_path / "a" / "b") == tmp_path


def test_data_lie_in_the_project_or_where_the_variable_says(tmp_path: Path) -> None:
    assert default_data_folder(tmp_path, {}) == tmp_path / ".spaceport"
    assert default_data_folder(tmp_path, {"SPACEPORT_HOME": str(tmp_path / "x")}) == tmp_path / "x"


def test_functions_run_with_a_python_that_has_their_dependencies() -> None:
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    chosen = choose_interpreter(own)
    assert (chosen.path, chosen.exact) == (Path(sys.executable), True)
    other = choose_interpreter("python3.99")
    assert (other.path, other.exact) == (Path(sys.executable), False)


def test_interpreter_that_cant_run_or_lacks_a_module_is_no_candidate(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert not can_import(shim, "3.12")
    assert not can_import(tmp_path / "nothing", "3.12")
    assert not can_import(Path(sys.executable), own, ["no_such_module_anywhere"])
    assert not can_import(Path(sys.executable), "3.99", ["json"])


def test_no_interpreter_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaceport_local.interpreters.DEPENDENCIES", ("no_such_module_anywhere",))
    monkeypatch.setattr("spaceport_local.interpreters.can_import", lambda *arguments: False)
    choose_interpreter.cache_clear()
    try:
        with pytest.raises(UserError, match="no_such_module_anywhere") as refused:
            choose_interpreter("python3.98")
        assert refused.value.code == "no_interpreter"
    finally:
        choose_interpreter.cache_clear()


@pytest.mark.parametrize("path", ["/etc", "/opt/ml/../../etc", "relative", "/opt/mlx"])
def test_local_path_stays_in_the_jobs_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ClientFaultError, match="below /opt/ml"):
        Place(tmp_path).local(path)


def test_local_path_below_opt_ml(tmp_path: Path) -> None:
    assert Place(tmp_path).local("/opt/ml/processing/input/x") == tmp_path / "opt/ml/processing/input/x"


def test_s3_uri() -> None:
    assert split_uri("s3://bucket/a/b c") == ("bucket", "a/b c")
    for wrong in ("bucket/key", "s3:///key", "https://x/y"):
        with pytest.raises(ClientFaultError):
            split_uri(wrong)


def test_object_url_is_quoted() -> None:
    assert Endpoint(4566).object_url("b", "a b/ü.html") == "http://127.0.0.1:4566/b/a%20b/%C3%BC.html"


def test_missing_members_are_violations() -> None:
    assert "Missing required parameter" in violations("CreateProcessingJob", {})[0]


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (
            "https://abc123.execute-api.us-east-1.amazonaws.com/prod/%40connections/x",
            "http://127.0.0.1:1/_aws/execute-api/abc123/prod/%40connections/x",
        ),
        (
            "https://abc123.execute-api.cn-north-1.amazonaws.com.cn/prod",
            "http://127.0.0.1:1/_aws/execute-api/abc123/prod",
        ),
        ("https://example.org/prod/x", "https://example.org/prod/x"),
        ("http://127.0.0.1:1/_aws/x", "http://127.0.0.1:1/_aws/x"),
    ],
)
def test_handlers_posts_reach_the_engine(repository: Path, url: str, local: str) -> None:
    file = repository / "local" / "spaceport_local" / "lambda_site" / "sitecustomize.py"
    spec = importlib.util.spec_from_file_location("lambda_site", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.local_url(url, "http://127.0.0.1:1") == local
