"""The image holds what the program needs, in the versions that everything else is tested with."""

import re
import tomllib


def test_the_images_packages_are_those_of_the_project(repository):
    dockerfile = (repository / "containers/gaussian/Dockerfile").read_text()
    installed = set(re.findall(r'^ +"([^"]+)"', dockerfile, re.MULTILINE))
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]

    assert {"imageio-ffmpeg", "numba", "pycolmap"} <= {re.split("[=><]", need)[0] for need in installed}
    assert installed <= {*project["dependencies"], *optional["jobs"], *optional["cuda"]}
