"""What the images' Dockerfiles promise: pinned bases, the project's requirements, an init, small contexts."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from dockerfile import Stage, stages_of

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = {file.parent.name: file for file in sorted(ROOT.glob("containers/*/Dockerfile"))}
# What the base image brings, or only a machine with a cloud or without needs.
NOT_IN_ANY_IMAGE = {"torch"}

each_image = pytest.mark.parametrize("name", DOCKERFILES)


def last_stage(name: str) -> Stage:
    return stages_of(DOCKERFILES[name])[-1]


def declared() -> tuple[set[str], set[str]]:
    """The requirements of the job programs and all others, as in pyproject.toml, less their markers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    jobs = {need.partition(";")[0] for need in optional["jobs"]}
    return jobs, {*project["dependencies"], *optional["cuda"]}


@each_image
def test_an_image_asks_for_what_the_project_does(name: str) -> None:
    jobs, others = declared()
    # jaxtyping is gsplat's requirement: pyproject.toml leaves it to pip, an image pins it.
    own = {need for need in last_stage(name).packages if not need.startswith("jaxtyping")}
    assert own <= jobs | others


def test_every_requirement_of_the_jobs_is_in_an_image() -> None:
    jobs, _ = declared()
    installed = set.union(*(last_stage(name).packages for name in DOCKERFILES))
    assert {re.split("[=<>]", need)[0] for need in jobs - installed} == NOT_IN_ANY_IMAGE


@each_image
def test_bases_are_pinned_by_digest(name: str) -> None:
    for stage in stages_of(DOCKERFILES[name]):
        assert re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", stage.base), stage.base


def test_gsplats_kernels_are_compiled_by_and_for_the_same_torch() -> None:
    bases = [stage.base.partition("@")[0] for stage in stages_of(DOCKERFILES["gaussian"])]
    compiling, running = bases
    assert compiling.removesuffix("-devel") == running.removesuffix("-runtime")


@each_image
def test_process_1_is_an_init_that_passes_signals_on(name: str) -> None:
    (entrypoint,) = last_stage(name).all("ENTRYPOINT")
    *init, python, option, program = json.loads(entrypoint.rest)
    assert init == ["dumb-init", "--single-child", "--"]
    assert [python, option] == ["python", "-m"]
    assert (ROOT / "containers" / name / program / "__main__.py").exists()
    assert not last_stage(name).all("CMD")


@each_image
def test_what_is_copied_is_in_the_build_context(name: str) -> None:
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for stage in stages_of(DOCKERFILES[name]):
        copied = [
            source
            for copy in stage.all("COPY")
            if copy.source_stage is None
            for source in copy.rest.split()[:-1]
        ]
        bound = [m["source"] for run in stage.all("RUN") for m in run.mounts if "from" not in m]
        for source in [*copied, *bound]:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source
