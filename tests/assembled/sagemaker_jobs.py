"""`/opt/ml` as SageMaker lays it out for the state machine's three jobs.

What a job is called, its channels, folders, environment and hyperparameters are not said again here: they are
those of `statemachine/pipeline.asl.json`, filled by the plan that PrepareJob makes.

    docs.aws.amazon.com/sagemaker/latest/dg: build-your-own-processing-container,
    your-algorithms-training-algo-running-container
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spaceport.plan import Plan

ML = PurePosixPath("/opt/ml")
HOSTS = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}


@dataclass(frozen=True)
class Request:
    """What the state machine asks SageMaker for, `CreateProcessingJob` or `CreateTrainingJob`."""

    parameters: Mapping[str, Any]

    @classmethod
    def of_state(cls, repository: Path, state: str, plan: Plan) -> Request:
        machine = json.loads((repository / "statemachine" / "pipeline.asl.json").read_text())
        return cls(
            _filled(machine["States"][state]["Parameters"], plan.model_dump(mode="json", by_alias=True))
        )

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.parameters.get("Environment", {}))

    @property
    def arguments(self) -> tuple[str, ...]:
        """What SageMaker starts the image with: a training image with `train`."""
        return ("train",) if "HyperParameters" in self.parameters else ()

    def output(self, name: str, ml: Path) -> Path:
        """Where a processing job's output is in `ml`."""
        outputs = self.parameters["ProcessingOutputConfig"]["Outputs"]
        (found,) = [output for output in outputs if output["OutputName"] == name]
        return _in(ml, found["S3Output"]["LocalPath"])

    def checkpoints(self, ml: Path) -> Path:
        return _in(ml, self.parameters["CheckpointConfig"]["LocalPath"])

    def lay_out(self, ml: Path, inputs: Mapping[str, Path]) -> Path:
        """Make `ml` for a new machine. `inputs` are folders by the name of the input or channel."""
        if "HyperParameters" in self.parameters:
            channels = {channel["ChannelName"]: channel for channel in self.parameters["InputDataConfig"]}
            folders = {name: ml / "input" / "data" / name for name in channels}
            config = ml / "input" / "config"
            files: dict[str, object] = {
                "hyperparameters.json": self.parameters["HyperParameters"],
                "inputdataconfig.json": {
                    name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
                    for name in channels
                },
            }
            made = [ml / "model", ml / "output" / "data", self.checkpoints(ml)]
        else:
            given = {source["InputName"]: source["S3Input"] for source in self.parameters["ProcessingInputs"]}
            folders = {name: _in(ml, source["LocalPath"]) for name, source in given.items()}
            config = ml / "config"
            files = {"processingjobconfig.json": self.parameters}
            outputs = self.parameters["ProcessingOutputConfig"]["Outputs"]
            made = [ml / "output", *(_in(ml, output["S3Output"]["LocalPath"]) for output in outputs)]
        assert folders.keys() == inputs.keys()
        for folder in (config, *made):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in {**files, "resourceconfig.json": HOSTS}.items():
            (config / name).write_text(json.dumps(content))
        for name, folder in folders.items():
            shutil.copytree(inputs[name], folder)
        return ml


def _in(ml: Path, path: str) -> Path:
    return ml / PurePosixPath(path).relative_to(ML)


def _filled(value: Any, plan: Mapping[str, Any]) -> Any:
    """`{"X.$": "$.a.b"}` as `{"X": …}`. What only an execution knows (`States.Format`) stays as it stands."""
    if isinstance(value, list):
        return [_filled(item, plan) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {}
    for name, content in value.items():
        if name.endswith(".$") and content.startswith("$."):
            found: Any = plan
            for step in content.removeprefix("$.").split("."):
                found = found[step]
            filled[name.removesuffix(".$")] = found
        else:
            filled[name] = _filled(content, plan)
    return filled
