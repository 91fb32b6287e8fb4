"""An image's file system where no Docker engine runs, made by its Dockerfile's own lines.

What stands in for what can't be had here:

| in the Dockerfile | here |
| --- | --- |
| the base image | this machine's `/usr`, and an empty `/usr/local` but for the Python that runs the tests |
| the base image's torch | torch as it is installed here, for the CPU |
| `pip install` | exactly what is asked for, of what is installed here: `pip_of_this_machine` |
| `npm ci` in another stage | the repository's `node_modules` |
| a RUN with apt-get, or with files of another stage (CUDA's kernels) | left out, and told in `left_out` |

All else is done as it stands: COPY, ENV, ARG, WORKDIR, each other RUN (in the image, without a network), and
ENTRYPOINT.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dockerfile import Instruction, Stage, stages_of
from namespaces import DEVICES, Container, Mount

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAND_INS = "/stand-ins"  # first on the PATH of RUN lines, and not there afterwards
RUN_LIMIT_S = 180  # the longest, compiling the kernels, takes half a minute
NPM_CI = "npm ci"
BASES_WITH_TORCH = ("pytorch/pytorch:",)


class BuildError(Exception):
    """A line of a Dockerfile failed."""


@dataclass(frozen=True)
class Image:
    """An assembled image, and what its Dockerfile says of how it runs."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def inside(self, path: str) -> Path:
        """Where a path of the image is on this machine, seen from its WORKDIR."""
        return self.root / str(PurePosixPath(self.workdir, path)).lstrip("/")

    def start(self, ml: Path, *arguments: str, environment: Mapping[str, str]) -> Container:
        """`docker run IMAGE ARGUMENTS` with `ml` as `/opt/ml`."""
        return Container(
            self.root,
            [*self._mounts(), Mount(ml, "/opt/ml", writable=True)],
            [*self.entrypoint, *arguments],
            environment={**self.environment, **environment},
            folder=self.workdir,
            log=ml.parent / f"{ml.name}.log",
        )

    def run(self, command: str, variables: Mapping[str, str], mounts: list[Mount]) -> None:
        """A RUN line. Raises BuildError with all that it said."""
        programs = [folder.parents[2] / "bin" for folder in _package_folders()]
        container = Container(
            self.root,
            [
                *self._mounts(),
                Mount(self.folder / "stand-ins", STAND_INS),
                *(Mount(folder, str(folder)) for folder in programs),
                *mounts,
            ],
            ["/bin/sh", "-c", command],
            environment={
                **self.environment,
                **variables,
                "PATH": f"{STAND_INS}:{self.environment['PATH']}",
                "PACKAGES_OF_THIS_MACHINE": os.pathsep.join(map(str, _package_folders())),
            },
            folder=self.workdir,
            log=self.folder / "run.log",
        )
        with container:
            if code := container.ended(within_s=RUN_LIMIT_S):
                raise BuildError(f"RUN {command}\nexit code {code}\n{container.errors}")

    def _mounts(self) -> list[Mount]:
        """What is the same in each container of this image."""
        python = Path(sys.base_prefix)
        return [
            Mount(Path("/usr"), "/usr"),
            Mount(self.folder / "local", "/usr/local", writable=True),
            *([] if python.is_relative_to("/usr") else [Mount(python, str(python))]),
            *(Mount(folder, str(folder)) for folder in _package_folders()),
            *(Mount(Path("/dev", name), f"/dev/{name}", writable=True) for name in DEVICES),
        ]


def assemble(repository: Path, dockerfile: Path, folder: Path) -> Image:
    """The last stage of `dockerfile`, made in `folder`. Raises BuildError."""
    *others, last = stages_of(dockerfile)
    image = Image(folder)
    _lay_base(image, last)
    stages = {stage.name: stage for stage in others}
    variables: dict[str, str] = {}  # of ARG: for RUN lines, and not for the program
    for instruction in last.instructions:
        match instruction.name:
            case "ARG":
                variables |= instruction.pairs
            case "ENV":
                image = replace(image, environment={**image.environment, **instruction.pairs})
            case "WORKDIR":
                image = replace(image, workdir=instruction.rest)
                image.inside(".").mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(image, instruction, repository, stages)
            case "ENTRYPOINT":
                image = replace(image, entrypoint=tuple(json.loads(instruction.rest)))
            case "RUN" if _needs_what_is_not_here(instruction):
                image = replace(image, left_out=(*image.left_out, instruction.rest))
            case "RUN":
                mounts = [Mount(repository / m["source"], m["target"]) for m in instruction.mounts]
                image.run(instruction.rest, variables, mounts)
            case unknown:
                raise BuildError(f"{dockerfile}: nothing here knows what {unknown} does")
    return image


def _lay_base(image: Image, stage: Stage) -> None:
    root = image.root
    for name in ("dev/shm", "etc", "opt", "proc", "root", "tmp"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    # Without pip and setuptools: no program of ours may need them.
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    subprocess.run([python, "-m", "venv", "--without-pip", image.folder / "local"], check=True)
    stand_ins = image.folder / "stand-ins"
    stand_ins.mkdir()
    program = Path(__file__).with_name("pip_of_this_machine.py").read_text()
    (stand_ins / "pip").write_text(f"#!/usr/local/bin/python\n{program}")
    (stand_ins / "pip").chmod(0o755)
    if stage.base.startswith(BASES_WITH_TORCH):
        image.run("pip install torch", {}, [])


def _needs_what_is_not_here(run: Instruction) -> bool:
    return "apt-get" in run.rest or any("from" in mount for mount in run.mounts)


def _copy(image: Image, copy: Instruction, repository: Path, stages: Mapping[str | None, Stage]) -> None:
    *sources, target = copy.rest.split()
    for source in sources:
        found = repository / source
        if copy.source_stage is not None:
            # `npm ci` fills the folder it is called in, as it has filled the repository's.
            stage = stages[copy.source_stage]
            assert any(run.rest.startswith(NPM_CI) for run in stage.all("RUN"))
            found = repository / PurePosixPath(source).relative_to(stage.all("WORKDIR")[0].rest)
        place = image.inside(target)
        if found.is_dir():
            shutil.copytree(found, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, place / found.name if target.endswith("/") else place)


def _package_folders() -> list[Path]:
    """Where this machine's Python has its packages, as `lib/python3.11/site-packages`, its own first."""
    folders = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return [folder for folder in folders if folder.is_dir() and str(folder) != site.getusersitepackages()]
