"""Run one SageMaker job: lay out its folders, fetch, run the program, deliver, tell how it ended."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from spaceport.job_program import MlTree
from spaceport_local.children import Warden, passed_on, signal_group
from spaceport_local.endpoint import Credentials, Endpoint
from spaceport_local.sagemaker.logs import LogStream
from spaceport_local.sagemaker.programs import Programs
from spaceport_local.sagemaker.record import (
    COMPLETED,
    FAILED,
    MAX_RUNTIME_EXCEEDED,
    PROCESSING,
    STOPPED,
    TRAINING,
    ClientFaultError,
    Job,
)
from spaceport_local.sagemaker.transfer import Mirror, download_prefix, pack, upload_file, upload_folder

ML = PurePosixPath("/opt/ml")
HOST = "algo-1"  # SageMaker's name of a job's first instance
WATCH_INTERVAL_S = 0.2  # for a stop or the end of its time; a program's own end is told at once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The folder of one job on this machine."""

    folder: Path

    @property
    def tree(self) -> MlTree:
        """What the program sees as `/opt/ml`, through SPACEPORT_ML_ROOT."""
        return MlTree(self.folder / "opt" / "ml")

    @property
    def log(self) -> Path:
        return self.folder / "output.log"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def local(self, path: str) -> Path:
        """Where a `LocalPath` of the request is. Raises ClientFaultError for a path outside /opt/ml."""
        inside = PurePosixPath(path)
        if not inside.is_relative_to(ML) or ".." in inside.parts:
            raise ClientFaultError(f"LocalPath must be below {ML}: {path}")
        return self.tree.root / inside.relative_to(ML)

    def clear(self) -> None:
        self.remove()
        self.temporary.mkdir(parents=True)
        (self.tree.root / "output").mkdir(parents=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_tree(self) -> None:
        """Keep the log; inputs and outputs are in S3."""
        shutil.rmtree(self.folder / "opt", ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)


@dataclass(frozen=True)
class Exit:
    """How a program ended: its exit code as a container's (128 + signal), and whether its time was up."""

    code: int
    over_time: bool


@dataclass(frozen=True)
class JobRunner:
    """Runs jobs one at a time each in its caller's thread; many threads may share one runner.

    `credentials` are what a job's inputs are read and its outputs and logs written with; they raise
    ClientFaultError where the job's role can't be had.
    """

    folder: Path
    programs: Programs
    endpoint: Endpoint
    warden: Warden
    stop_grace_s: float
    credentials: Callable[[Job], Credentials]

    def tidy(self) -> None:
        """Remove the folder trees of earlier jobs. Those that failed are kept for a look until now."""
        for folder in self.folder.glob("*/*"):
            Place(folder).remove_tree()

    def forget(self, job: Job) -> None:
        """Remove all that is kept of an ended job on this machine: its log, and its tree where it failed."""
        self._place(job).remove()

    def run(self, job: Job) -> None:
        """Run `job` to its end. Every failure ends in the job's description, none in an exception."""
        place = self._place(job)
        try:
            place.clear()
            self._write_configuration(job, place)
            self._download_inputs(job, place)
            if job.stop_requested.is_set():
                job.end(STOPPED)
                return
            ended = self._run_program(job, place)
            self._settle(job, place, ended)
        except ClientFaultError as fault:
            job.end(FAILED, f"ClientError: {fault}")
        except ClientError as refusal:
            # The engine's fault, or a call that the job's role doesn't allow.
            status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
            job.end(FAILED, f"{'InternalServerError' if status >= 500 else 'ClientError'}: {refusal}")
        except Exception as fault:
            logger.exception("job %s", job.name)
            job.end(FAILED, f"InternalServerError: {type(fault).__name__}: {fault}")
        if job.status == COMPLETED:
            place.remove_tree()

    def _place(self, job: Job) -> Place:
        return Place(self.folder / job.kind.name.lower() / job.name)

    # ---- before -------------------------------------------------------------------------------------------

    def _write_configuration(self, job: Job, place: Place) -> None:
        hosts = {"current_host": HOST, "hosts": [HOST], "network_interface_name": "lo"}
        if job.kind is PROCESSING:
            config = place.tree.root / "config"
            files: dict[str, Any] = {"processingjobconfig.json": job.describe(), "resourceconfig.json": hosts}
            folders = []
        else:
            config = place.tree.hyperparameters.parent
            channels = {
                channel["ChannelName"]: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
                for channel in job.request.get("InputDataConfig", [])
            }
            files = {
                place.tree.hyperparameters.name: dict(job.request.get("HyperParameters", {})),
                "resourceconfig.json": hosts,
                "inputdataconfig.json": channels,
            }
            folders = [place.tree.model, place.tree.root / "output" / "data"]
        for folder in (config, *folders):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (config / name).write_text(json.dumps(content))

    def _download_inputs(self, job: Job, place: Place) -> None:
        job.enter("Downloading")
        s3 = self._client("s3", job)
        if job.kind is PROCESSING:
            for source in job.request.get("ProcessingInputs", []):
                given = source["S3Input"]
                download_prefix(s3, given["S3Uri"], place.local(given["LocalPath"]))
            for output in job.request.get("ProcessingOutputConfig", {}).get("Outputs", []):
                place.local(output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
            return
        for channel in job.request.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            download_prefix(s3, uri, place.tree.channel(channel["ChannelName"]))
        if checkpoints := job.request.get("CheckpointConfig"):
            # What an interrupted run of the same job left: there need not be any.
            download_prefix(s3, checkpoints["S3Uri"], self._checkpoints(job, place), required=False)

    # ---- the program --------------------------------------------------------------------------------------

    def _run_program(self, job: Job, place: Place) -> Exit:
        program = self.programs.find(_image(job))
        arguments = ["train"] if job.kind is TRAINING else _container_arguments(job)
        environment = {
            **passed_on(),
            **program.environment,
            **job.request.get("Environment", {}),
            f"{job.kind.name.upper()}_JOB_ARN": job.arn,
            f"{job.kind.name.upper()}_JOB_NAME": job.name,
            "SPACEPORT_ML_ROOT": str(place.tree.root),
            "TMPDIR": str(place.temporary),
            "PYTHONUNBUFFERED": "1",
        }
        child = self.warden.start(
            [*program.command, *arguments],
            cwd=place.temporary,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        job.started()
        job.enter("Training")
        assert child.stdout is not None
        stream = f"{job.name}/{HOST}-{int(time.time())}"
        logs = self._client("logs", job)
        with child.stdout as pipe, ExitStack() as company:
            company.enter_context(LogStream(logs, job.kind.log_group, stream, pipe.fileno(), place.log))
            if checkpoints := job.request.get("CheckpointConfig"):
                s3, folder = self._client("s3", job), self._checkpoints(job, place)
                company.enter_context(Mirror(s3, folder, checkpoints["S3Uri"]))
            try:
                return self._watch(job, child)
            finally:
                self.warden.release(child)

    def _watch(self, job: Job, child: subprocess.Popen[bytes]) -> Exit:
        """Wait for the program's end. Asked to stop, or its time being up, its processes get SIGTERM, and
        SIGKILL after the grace time (SageMaker: 120 s)."""
        time_is_up = time.monotonic() + job.max_runtime_s
        kill_at: float | None = None
        over_time = False
        ended = _end_of(child)
        while not ended.wait(WATCH_INTERVAL_S):
            now = time.monotonic()
            over_time = over_time or now > time_is_up
            if kill_at is None and (over_time or job.stop_requested.is_set()):
                signal_group(child.pid, signal.SIGTERM)
                kill_at = now + self.stop_grace_s
            if kill_at is not None and now > kill_at:
                signal_group(child.pid, signal.SIGKILL)
        code = child.returncode
        return Exit(code if code >= 0 else 128 - code, over_time)

    # ---- after --------------------------------------------------------------------------------------------

    def _settle(self, job: Job, place: Place, ended: Exit) -> None:
        if job.stop_requested.is_set():
            job.end(STOPPED, **self._model_fields(job, place))
        elif ended.over_time:
            job.end(STOPPED, secondary=MAX_RUNTIME_EXCEEDED, **self._model_fields(job, place))
        elif ended.code != 0:
            job.end(FAILED, **_algorithm_error(job, place, ended.code))
        else:
            job.enter("Uploading")
            self._upload_outputs(job, place)
            job.end(COMPLETED, **self._model_fields(job, place), **_exit_message(job, place))

    def _upload_outputs(self, job: Job, place: Place) -> None:
        s3 = self._client("s3", job)
        for output in job.request.get("ProcessingOutputConfig", {}).get("Outputs", []):
            target = output["S3Output"]
            upload_folder(s3, place.local(target["LocalPath"]), target["S3Uri"])

    def _model_fields(self, job: Job, place: Place) -> dict[str, Any]:
        """Deliver the model, also of a stopped training job, as SageMaker does."""
        if job.kind is not TRAINING:
            return {}
        s3 = self._client("s3", job)
        output = job.request["OutputDataConfig"]
        uri = f"{output['S3OutputPath'].rstrip('/')}/{job.name}/output/model"
        if output.get("CompressionType") == "NONE":
            uri += "/"
            upload_folder(s3, place.tree.model, uri)
        else:
            uri += ".tar.gz"
            archive = place.folder / "model.tar.gz"
            pack(place.tree.model, archive)
            upload_file(s3, archive, uri)
            archive.unlink()
        return {"ModelArtifacts": {"S3ModelArtifacts": uri}}

    def _checkpoints(self, job: Job, place: Place) -> Path:
        folder = place.local(job.request["CheckpointConfig"].get("LocalPath", "/opt/ml/checkpoints"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _client(self, service: str, job: Job) -> Any:
        return _client(self.endpoint, service, job.scope.region, self.credentials(job))


def _end_of(child: subprocess.Popen[bytes]) -> threading.Event:
    """Set when the process has ended. Nobody looks at the clock for it, as `wait` with a time-out does."""
    ended = threading.Event()

    def wait() -> None:
        child.wait()
        ended.set()

    threading.Thread(target=wait, name=f"end of process {child.pid}", daemon=True).start()
    return ended


@cache
def _client(endpoint: Endpoint, service: str, region: str, credentials: Credentials) -> Any:
    """One for all jobs: to make one of S3 takes the engine's process 2.8 ms, in which nobody is answered."""
    return endpoint.client(service, region, credentials)


def _image(job: Job) -> str:
    if job.kind is TRAINING:
        return str(job.request["AlgorithmSpecification"].get("TrainingImage", ""))
    return str(job.request["AppSpecification"]["ImageUri"])


def _container_arguments(job: Job) -> list[str]:
    return list(job.request["AppSpecification"].get("ContainerArguments", []))


def _message(job: Job, place: Place) -> str:
    """What the program left in its message file, which SageMaker passes on."""
    file = place.tree.training_failure if job.kind is TRAINING else place.tree.processing_message
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _exit_message(job: Job, place: Place) -> dict[str, str]:
    message = _message(job, place) if job.kind is PROCESSING else ""
    return {"ExitMessage": message[:1024]} if message else {}


def _algorithm_error(job: Job, place: Place, code: int) -> dict[str, str]:
    """SageMaker's words for a program that ended with an exit code other than 0."""
    ending = f", exit code: {code}"
    message = _message(job, place)
    if not message and job.kind is PROCESSING:
        message = "See job logs for more information"
    room = 1024 - len(ending) - len("AlgorithmError: ")
    return {
        "reason": f"AlgorithmError: {message[:room]}{ending}",
        **_exit_message(job, place),
    }
