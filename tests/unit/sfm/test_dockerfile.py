"""The image installs what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib


def test_the_image_installs_the_versions_of_the_project(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["jobs"]}

    dockerfile = (repository / "containers" / "sfm" / "Dockerfile").read_text()
    installed = set(re.findall(r'"([a-z-]+[=<>][^"]+)"', dockerfile))

    assert len(installed) == 11
    assert installed <= declared
