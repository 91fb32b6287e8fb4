"""From an execution input to the plan that the state machine follows.

Pure: what the template fixes is passed in as `TemplateFacts`. A request never decides on image URIs,
buckets or prefixes: where it names them, they must be the template's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from spaceport.archive import DIGEST_VARIABLE
from spaceport.attempts import Attempt, Machine, TrainingMachine
from spaceport.errors import UserError
from spaceport.job import JobInput, PipelineStep, is_job_id, task_name
from spaceport.quality import SFM_REPORT
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import resolve

MODEL = "model.ply"
# A job's folders below its home, where its input names no others.
EXTRACTED, COLMAP, GAUSSIAN, COMPRESSED = "extracted/", "colmap/", "gaussian/", "compressed/"


@dataclass(frozen=True)
class TemplateFacts:
    """What only the template decides.

    Attributes:
        sfm_instance_types: the stage's machines, the one to try first first: a list with commas, where
            nothing between two commas is nothing.
    """

    uploads_bucket: str
    data_bucket: str
    sfm_image_uri: str
    gaussian_image_uri: str
    compressor_image_uri: str
    sfm_instance_types: str
    training_instance_types: str
    compression_instance_types: str
    spot_training: bool


class _Plan(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class SfmPlan(_Plan):
    """The SfM processing job: its name less the attempt, its environment."""

    task: str
    environment: dict[str, str]


class TrainingPlan(_Plan):
    """The training job. `scene_s3_uri` is the undistorted scene that SfM made."""

    task: str
    hyperparameters: dict[str, str]
    scene_s3_uri: str = Field(alias="sceneS3Uri")
    output_s3_uri: str = Field(alias="outputS3Uri")
    checkpoints_s3_uri: str = Field(alias="checkpointsS3Uri")


class CompressionPlan(_Plan):
    """The compression processing job."""

    task: str
    environment: dict[str, str]


class Position(_Plan):
    """Where the execution stands: the step to run next, and the trained model once there is one.

    The state machine overwrites it after each step.
    """

    step: PipelineStep
    model_s3_uri: str = Field(alias="modelS3Uri")
    billable_seconds: int = 0  # of the training before, where SageMaker tells; 0: not told


class Plan(_Plan):
    """Everything the states after PrepareJob read; their JSONPaths are this model's names in camelCase."""

    job_id: str
    run: int
    zip_s3_uri: str = Field(alias="zipS3Uri")
    extracted_s3_uri: str = Field(alias="extractedS3Uri")
    colmap_s3_uri: str = Field(alias="colmapS3Uri")
    gaussian_s3_uri: str = Field(alias="gaussianS3Uri")
    compressed_s3_uri: str = Field(alias="compressedS3Uri")
    sfm: SfmPlan
    training: TrainingPlan
    compression: CompressionPlan
    at: Position
    attempt: Attempt

    @property
    def needed(self) -> list[str]:
        """What the first step must find, the zip or what the steps before it left: `s3://` URIs."""
        scene, model = f"{self.colmap_s3_uri}{SFM_REPORT}", f"{self.at.model_s3_uri}{MODEL}"
        match self.at.step:
            case PipelineStep.SFM:
                return [self.zip_s3_uri]
            case PipelineStep.TRAINING:
                return [scene]
            case PipelineStep.COMPRESSION:
                return [scene, model]


def parse_input(raw: object) -> JobInput:
    """The execution input as a JobInput.

    Raises:
        UserError: `bad_input`, naming the field.
    """
    if not isinstance(raw, Mapping):
        raise UserError(
            "bad_input",
            "The execution input is not a JSON object.",
            "Compare it with events/start_execution.json.",
        )
    try:
        return JobInput.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "input"
        raise UserError(
            "bad_input",
            f"The execution input's field {field} can't be used: {first['msg']}.",
            "Compare it with events/start_execution.json.",
        ) from error


def job_id_of(execution_input: object, execution_name: str) -> str:
    """The id of the job that an execution runs, whatever its input is: a bad one has a row that says so.

    The input's own jobId or the execution's name, whichever can be one first, else a hash of the name.
    """
    given = execution_input.get("jobId") if isinstance(execution_input, Mapping) else None
    for name in (given, execution_name):
        if is_job_id(name):
            return name
    return f"job-{hashlib.sha256(execution_name.encode()).hexdigest()[:20]}"


def make_plan(
    given: JobInput,
    job_id: str,
    facts: TemplateFacts,
    model_s3_uri: str | None = None,
    zip_digest: str | None = None,
) -> Plan:
    """The plan for `given`.

    Args:
        zip_digest: of the zip that was looked at, if one was: SfM takes no other in its place.
        model_s3_uri: where an earlier run's training put its model, if it did. Without it the model is
            looked for where a finished job's is.

    Raises:
        UserError: `foreign_image`, `foreign_s3_uri`, naming the field that points outside this stack.
    """
    home = f"s3://{facts.data_bucket}/jobs/{job_id}"
    _check_images(given, facts)
    _check_zip(given, facts)
    places = {
        "extractedS3Uri": given.extracted_s3_uri or f"{home}/{EXTRACTED}",
        "colmapOutputS3Uri": given.colmap_output_s3_uri or f"{home}/{COLMAP}",
        "gaussianOutputS3Uri": given.gaussian_output_s3_uri or f"{home}/{GAUSSIAN}",
        "compressedOutputS3Uri": given.compressed_output_s3_uri or f"{home}/{COMPRESSED}",
    }
    for field, uri in places.items():
        _check_place(field, uri, home)
    extracted, colmap, gaussian, compressed = (_as_prefix(uri) for uri in places.values())
    tuning = resolve(given.tuning())
    environment = tuning.to_environment() | ({DIGEST_VARIABLE: zip_digest} if zip_digest else {})
    training = TrainingMachine.first_of(facts.training_instance_types)
    return Plan(
        job_id=job_id,
        run=given.run,
        zip_s3_uri=given.zip_uri,
        extracted_s3_uri=extracted,
        colmap_s3_uri=colmap,
        gaussian_s3_uri=gaussian,
        compressed_s3_uri=compressed,
        sfm=SfmPlan(task=task_name(job_id, SFM.name, given.run), environment=environment),
        training=TrainingPlan(
            task=task_name(job_id, TRAINING.name, given.run),
            hyperparameters=tuning.to_strings(),
            scene_s3_uri=f"{colmap}dense/",
            output_s3_uri=f"{home}/training/",
            # Of the job, not of the run: a retry goes on in mid-training. The trainer itself refuses a
            # checkpoint of another scene or another tuning.
            checkpoints_s3_uri=f"{home}/checkpoints/",
        ),
        compression=CompressionPlan(
            task=task_name(job_id, COMPRESSION.name, given.run),
            environment={**tuning.to_environment(), "SPACEPORT_JOB_NAME": given.name},
        ),
        at=Position(step=given.pipeline_step, model_s3_uri=_as_prefix(model_s3_uri or gaussian)),
        attempt=Attempt(
            sfm=Machine.first_of(facts.sfm_instance_types),
            training=training.on_spot() if facts.spot_training else training,
            compression=Machine.first_of(facts.compression_instance_types),
        ),
    )


def _check_images(given: JobInput, facts: TemplateFacts) -> None:
    # SfM does the extraction, so its image is the extractor's too.
    allowed = {
        "extractorImageUri": (given.extractor_image_uri, facts.sfm_image_uri),
        "sfmImageUri": (given.sfm_image_uri, facts.sfm_image_uri),
        "gaussianImageUri": (given.gaussian_image_uri, facts.gaussian_image_uri),
        "compressorImageUri": (given.compressor_image_uri, facts.compressor_image_uri),
    }
    for field, (asked, ours) in allowed.items():
        if asked is not None and asked != ours:
            raise UserError(
                "foreign_image",
                f"{field} names {asked}, which is not this stack's image.",
                f"Leave the field out, or give {ours}.",
            )


def _check_zip(given: JobInput, facts: TemplateFacts) -> None:
    if not given.zip_uri.startswith(f"s3://{facts.uploads_bucket}/"):
        raise UserError(
            "foreign_s3_uri",
            f"s3Url names {given.zip_uri}, which is not in this stack's uploads bucket.",
            f"Upload the zip to s3://{facts.uploads_bucket}/ first.",
        )


def _check_place(field: str, uri: str, home: str) -> None:
    if not uri.startswith(f"{home}/") or ".." in uri:
        raise UserError(
            "foreign_s3_uri",
            f"{field} names {uri}, which is outside this job's own folder.",
            f"Leave the field out, or give a prefix below {home}/.",
        )


def _as_prefix(uri: str) -> str:
    return uri if uri.endswith("/") else f"{uri}/"
