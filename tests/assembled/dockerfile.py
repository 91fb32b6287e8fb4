"""A Dockerfile as data: its stages, and each stage's instructions in order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template


@dataclass(frozen=True)
class Instruction:
    """`RUN --mount=type=cache pip …`: its name, its flags as they stand, and what follows them."""

    name: str
    flags: tuple[str, ...]
    rest: str

    @property
    def mounts(self) -> list[dict[str, str]]:
        """What its `--mount` flags say: `{"type": "bind", "source": …}` each."""
        flags = (flag.removeprefix("--mount=") for flag in self.flags if flag.startswith("--mount="))
        return [dict(pair.split("=", 1) for pair in flag.split(",")) for flag in flags]

    @property
    def source_stage(self) -> str | None:
        """The stage that a COPY copies from; None: the build context."""
        return next((flag.removeprefix("--from=") for flag in self.flags if flag.startswith("--from=")), None)

    @property
    def pairs(self) -> dict[str, str]:
        """The variables of an ENV or ARG. An ARG without a value has none."""
        return dict(word.split("=", 1) for word in shlex.split(self.rest) if "=" in word)


@dataclass(frozen=True)
class Stage:
    base: str
    name: str | None
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    @property
    def packages(self) -> set[str]:
        """What `pip install` is asked for by name, as `"numpy>=2.0"`."""
        runs = " ".join(run.rest for run in self.all("RUN") if "pip install" in run.rest)
        return set(re.findall(r'"([A-Za-z0-9._-]+(?:[=<>!~][^"]*)?)"', runs))


def stages_of(dockerfile: Path) -> list[Stage]:
    """The stages in order. The ARGs before the first are put in where a FROM names them."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in _instructions(dockerfile.read_text()):
        if instruction.name == "FROM":
            base, _, name = instruction.rest.partition(" AS ")
            stages.append(Stage(Template(base).substitute(arguments), name or None, ()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, (*last.instructions, instruction))
        else:
            arguments |= instruction.pairs
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for whole in re.split(r"(?<!\\)\n", "\n".join(lines)):
        name, *words = whole.replace("\\\n", "").split(" ")
        rest = " ".join(words).strip()
        flags = []
        while match := re.match(r"(--\S+)\s+", rest):
            flags.append(match[1])
            rest = rest[match.end() :]
        yield Instruction(name.upper(), tuple(flags), rest)
