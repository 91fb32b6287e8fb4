"""Every transition of the state machine, on the local engine: where it leads, what the row says, how it ends.

The transitions are read from the definition, those taken from the executions' histories; one that no case
takes fails the test. `docs/state-machine.md` is the table of the cases; SPACEPORT_WRITE_DOCS=1 writes it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from injection import Faults, start_faulty_cloud

from spaceport.attempts import SPOT_LIMITS
from spaceport.job import JobRecord, Try, empty_stages, now_iso
from spaceport.jobs import item_of, record_from_image
from spaceport.stages import Status
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ASL: dict[str, Any] = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())
TABLE = ROOT / "docs" / "state-machine.md"
TASKS = {"sfm": "RunSfM", "3dgs": "RunTraining", "sog": "RunCompression"}
THROTTLED = {
    "lambda": "Lambda.TooManyRequestsException",
    "dynamodb": "DynamoDB.ProvisionedThroughputExceededException",
    "sagemaker": "SageMaker.ThrottlingException",
}
# What the functions are given for these cases: a second type for training, spot instances, and short waits.
SETTINGS = {
    "PrepareJob": {"TRAINING_INSTANCE_TYPES": "ml.g4dn.xlarge,ml.g5.xlarge", "SPOT_TRAINING": "true"},
    "ClassifyFailure": {"CAPACITY_WAIT_MINUTES": "1"},
}
AT_ONCE = 6  # cases that run at the same time, on two cores

# ---- the transitions ----------------------------------------

Transition = tuple[str, str, str]  # from, by what, to


def transitions_of(states: dict[str, Any]) -> set[Transition]:
    """All that the definition has."""
    found: set[Transition] = set()
    for name, state in states.items():
        if "Next" in state:
            found.add((name, "Next", state["Next"]))
        if "Default" in state:
            found.add((name, "Default", state["Default"]))
        for number, rule in enumerate(state.get("Choices", [])):
            found.add((name, f"rule {number}", rule["Next"]))
        for number, catcher in enumerate(state.get("Catch", [])):
            found.add((name, f"Catch {number}", catcher["Next"]))
        for number, _ in enumerate(state.get("Retry", [])):
            found.add((name, f"Retry {number}", name))
    return found


@dataclass(frozen=True)
class Visit:
    """One state as an execution passed it: its input, and the error of each failed attempt."""

    state: str
    given: Any
    errors: tuple[str, ...]
    succeeded: bool


def visits_of(events: list[dict[str, Any]]) -> list[Visit]:
    """The states that a history tells of, in order."""
    visits: list[Visit] = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            entered = event["stateEnteredEventDetails"]
            visits.append(Visit(entered["name"], json.loads(entered["input"]), (), False))
        elif event["type"] == "TaskFailed":
            last = visits.pop()
            errors = (*last.errors, event["taskFailedEventDetails"]["error"])
            visits.append(Visit(last.state, last.given, errors, False))
        elif event["type"] == "TaskSucceeded":
            last = visits.pop()
            visits.append(Visit(last.state, last.given, last.errors, True))
    return visits


def transitions_taken(visits: list[Visit], execution_arn: str) -> set[Transition]:
    taken: set[Transition] = set()
    for visit, after in pairwise(visits):
        state = ASL["States"][visit.state]
        if state["Type"] == "Choice":
            taken.add((visit.state, chosen(state, visit.given, execution_arn), after.state))
            continue
        ended_by = None if visit.succeeded or not visit.errors else visit.errors[-1]
        for error in visit.errors if ended_by is None else visit.errors[:-1]:
            taken.add((visit.state, f"Retry {handler_of(error, state['Retry'])}", visit.state))
        by = "Next" if ended_by is None else f"Catch {handler_of(ended_by, state['Catch'])}"
        taken.add((visit.state, by, after.state))
    return taken


def handler_of(error: str, handlers: list[dict[str, Any]]) -> int:
    """The first Retry or Catch that takes the error."""
    return next(i for i, h in enumerate(handlers) if {error, "States.ALL"} & set(h["ErrorEquals"]))


def chosen(state: dict[str, Any], given: Any, execution_arn: str) -> str:
    """Which rule of a Choice holds for its input: the operators that our definition uses."""

    def read(path: str) -> Any:
        if path == "$$.Execution.Id":
            return execution_arn
        value = given
        for part in path.removeprefix("$.").split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def holds(rule: dict[str, Any]) -> bool:
        match rule:
            case {"Not": part}:
                return not holds(part)
            case {"Or": parts}:
                return any(map(holds, parts))
            case {"And": parts}:
                return all(map(holds, parts))
        value = read(rule["Variable"])
        match rule:
            case {"IsPresent": wanted}:
                return (value is not None) is wanted
            case {"StringEqualsPath": path}:
                return bool(value == read(path))
        return bool(value == rule.get("StringEquals", rule.get("NumericEquals")))

    return next((f"rule {i}" for i, rule in enumerate(state["Choices"]) if holds(rule)), "Default")


# ---- the cases ----------------------------------------

Fault = tuple[str, int] | tuple[str, int, str]  # error, how many attempts fail, cause
FAILURES = json.loads((ROOT / "tests" / "unit" / "contract" / "failures.json").read_text())


@dataclass(frozen=True)
class Case:
    """One execution, called `{name}-1`, of the job `name`, and what it must come to.

    Attributes:
        about: what happens, for the table.
        status, code: of the row in the end; None: there is none.
        execution: the execution's status in the end.
        given: the input's fields besides jobId and s3Url; or the whole input, where it is no object.
        orders: what the stage's program is told to do (`ordered_program.py`).
        faults: {state: (error, attempts that fail)} (`faults/faulty_engine.py`).
        row: fields of a row that is there before.
        artifacts: what lies in the job's folder before.
        in_sfm: done while SfM waits; it goes on afterwards.
        timeouts: {state, or "" for the machine: seconds} instead of the definition's.
    """

    name: str
    about: str
    status: Status
    code: str | None
    execution: str
    given: Any = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    row: dict[str, Any] | None = None
    artifacts: tuple[str, ...] = ()
    in_sfm: Callable[[Engine, str], None] | None = None
    timeouts: dict[str, int] = field(default_factory=dict)


def failing(name: str, about: str, code: str, **how: Any) -> Case:
    return Case(name, about, Status.FAILED, code, "FAILED", **how)


def once(*states: str) -> dict[str, Fault]:
    """One throttled attempt in each of these states."""
    return {state: (THROTTLED[ASL["States"][state]["Resource"].split(":")[5]], 1) for state in states}


def aws_fails(state: str, failure: str, times: int = 1) -> dict[str, Fault]:
    """One of AWS's failures, by its name in `failures.json`, of the first attempts in this state."""
    (found,) = [known for known in FAILURES if known["name"] == failure]
    cause = found["cause"] if isinstance(found["cause"], str) else json.dumps(found["cause"])
    return {state: (found["error"], times, cause)}


def denied(state: str) -> dict[str, Fault]:
    return {state: ("DynamoDB.AccessDeniedException", 1)}


def from_step(step: str, *, ready: bool = True) -> dict[str, Any]:
    """How a case begins at a later step, with or without what the earlier ones leave."""
    left = {"3dgs": ("colmap/dense/scene.txt",), "compression": ("gaussian/model.ply",)}[step]
    return {"given": {"pipelineStep": step}, "artifacts": ("colmap/sfm.json", *left) if ready else ()}


def change_row(**fields: Any) -> Callable[[Engine, str], None]:
    """Somebody changes the row while the job runs."""
    return lambda engine, job_id: engine.change(job_id, fields)


def stop_execution(engine: Engine, job_id: str) -> None:
    engine.step_functions.stop_execution(executionArn=engine.arn(job_id))


def stop_while_it_waits(engine: Engine, job_id: str) -> None:
    until(lambda: (row := engine.row(job_id)) and row.status is Status.WAITING_CAPACITY, seconds=30)
    stop_execution(engine, job_id)


def stop_outside(engine: Engine, job_id: str) -> None:
    """Somebody stops the SageMaker job itself, in its console or by its API."""
    sagemaker, name = engine.cloud.client("sagemaker"), f"{job_id}-sfm-1-0"
    until(lambda: sagemaker.list_processing_jobs(NameContains=name)["ProcessingJobSummaries"], seconds=30)
    sagemaker.stop_processing_job(ProcessingJobName=name)


STARTS = {"3dgs": from_step("3dgs"), "sog": from_step("compression")}
ENTRIES = {"sfm": "EnterSfM", "3dgs": "EnterTraining", "sog": "EnterCompression"}
OTHERS = "arn:aws:states:us-east-1:000000000000:execution:another:one"

CASES = (
    # How it should be.
    Case("whole", "all goes well", Status.COMPLETED, None, "SUCCEEDED"),
    Case("begin-3dgs", "begins at 3dgs", Status.COMPLETED, None, "SUCCEEDED", **from_step("3dgs")),
    Case(
        "begin-compression", "begins at compression", Status.COMPLETED, None, "SUCCEEDED",
        **from_step("compression"),
    ),
    Case(
        "throttled", "each task is throttled once", Status.COMPLETED, None, "SUCCEEDED",
        faults=once("PrepareJob", *ENTRIES.values(), *TASKS.values(), "PublishResult"),
    ),
    # PrepareJob.
    failing("no-object", "the input is no JSON object", "bad_input", given=[1]),
    failing("foreign", "the input names a foreign image", "foreign_image", given={"sfmImageUri": "evil:1"}),
    failing(
        "nothing-there", "a later step without artifacts", "no_artifacts", **from_step("3dgs", ready=False),
    ),
    Case(
        "taken", "the job is another execution's", Status.RUNNING, None, "FAILED",
        row={"status": Status.RUNNING, "execution_arn": OTHERS},
    ),
    Case(
        "stopped-early", "stopped before it began", Status.STOPPED, None, "SUCCEEDED",
        row={"status": Status.STOPPED},
    ),
    # Entering a stage.
    *(
        failing(
            f"denied-{stage}", f"{state} is denied", "fault", faults=denied(state), **STARTS.get(stage, {}),
        )
        for stage, state in ENTRIES.items()
    ),
    Case(
        "ahead", "entries are refused, but the job is this one's", Status.COMPLETED, None, "SUCCEEDED",
        row={"status": Status.RUNNING, "stage_index": 9}, faults=once("ReadStatus"),
    ),
    failing(
        "unreadable", "an entry is refused, and the row can't be read", "fault",
        row={"status": Status.RUNNING, "stage_index": 9}, faults=denied("ReadStatus"),
    ),
    Case(
        "stopping", "the row is stopping, the execution goes on", Status.STOPPED, "stopped", "SUCCEEDED",
        in_sfm=change_row(status="STOPPING"),
    ),
    Case(
        "superseded", "another execution took the row", Status.RUNNING, None, "SUCCEEDED",
        in_sfm=change_row(executionArn=OTHERS),
    ),
    Case(
        "unclaimed", "the row lost its execution", Status.FAILED, "fault", "SUCCEEDED",
        in_sfm=change_row(executionArn=None),
    ),
    # A stage's job.
    *(
        failing(
            f"{word}-{stage}", f"{state}: the program {told}", code, orders={stage: word},
            **STARTS.get(stage, {}),
        )
        for stage, state in TASKS.items()
        for word, told, code in (
            ("refuse", "tells what is wrong", "bad_light"),
            ("break", "ends without a word", "fault"),
            ("die", "is killed", "killed"),
        )
    ),
    *(
        failing(
            f"slow-{stage}", f"{state} times out", "timeout", orders={stage: "hang"},
            timeouts=dict.fromkeys(TASKS.values(), 4), **STARTS.get(stage, {}),
        )
        for stage, state in TASKS.items()
    ),
    failing("stopped-outside", "somebody stops the SfM job", "stopped_outside", in_sfm=stop_outside),
    failing(
        "stopped-in-training", "somebody stops the training job", "stopped_outside",
        faults=aws_fails("RunTraining", "stopped-training"), **from_step("3dgs"),
    ),
    failing(
        "over-time", "the training job runs longer than it may", "timeout",
        faults=aws_fails("RunTraining", "over-time-training"), **from_step("3dgs"),
    ),
    # The scene.
    failing(
        "poor-scene", "SfM found next to nothing", "too_few_points", orders={"sfm": "poor"},
    ),
    Case(
        "unchecked-once", "checking the scene is throttled once", Status.COMPLETED, None, "SUCCEEDED",
        faults=once("CheckSfM"),
    ),
    Case(
        "unchecked", "checking the scene breaks", Status.COMPLETED, None, "SUCCEEDED",
        faults={"CheckSfM": ("Lambda.Unknown", 1)},
    ),
    # No machine.
    failing(
        "no-quota", "the account may have no such machine", "no_capacity",
        faults=aws_fails("RunSfM", "no-quota"),
    ),
    Case(
        "quota", "SageMaker's quota is used up twice", Status.COMPLETED, None, "SUCCEEDED",
        faults={**aws_fails("RunSfM", "quota", 2), **once("EnterWaiting", "ClassifyFailure")},
    ),
    Case(
        "fallback", "no capacity for training's first type, spot or not", Status.COMPLETED, None, "SUCCEEDED",
        faults=aws_fails("RunTraining", "no-capacity", 2), **from_step("3dgs"),
    ),
    Case(
        "no-capacity", "no capacity for compression", Status.COMPLETED, None, "SUCCEEDED",
        faults=aws_fails("RunCompression", "no-capacity-processing"), **from_step("compression"),
    ),
    Case(
        "throttled-long", "RunSfM is throttled for long", Status.COMPLETED, None, "SUCCEEDED",
        faults={"RunSfM": (THROTTLED["sagemaker"], 9)},
    ),
    Case(
        "stopped-waiting", "the execution is stopped while it waits", Status.STOPPED, "stopped", "ABORTED",
        in_sfm=stop_while_it_waits, faults=aws_fails("RunSfM", "quota"),
    ),
    Case(
        "wait-refused", "the wait is refused, but the job is this one's", Status.COMPLETED, None, "SUCCEEDED",
        faults={
            **aws_fails("RunSfM", "quota"), "EnterWaiting": ("DynamoDB.ConditionalCheckFailedException", 1),
        },
    ),
    failing(
        "denied-waiting", "EnterWaiting is denied", "fault",
        faults={**aws_fails("RunSfM", "quota"), **denied("EnterWaiting")},
    ),
    failing(
        "unclassified", "the failure can't be classified", "no_capacity",
        faults={**aws_fails("RunSfM", "quota"), "ClassifyFailure": ("Lambda.Unknown", 1)},
    ),
    Case(
        "spot", "training waited too long for a spot instance", Status.COMPLETED, None, "SUCCEEDED",
        faults=aws_fails("RunTraining", "over-wait-after-work"), **from_step("3dgs"),
    ),
    # AWS's own faults.
    Case(
        "aws-fault", "AWS fails SfM twice by itself", Status.COMPLETED, None, "SUCCEEDED",
        faults=aws_fails("RunSfM", "aws-fault", 2),
    ),
    Case(
        "aws-fault-3dgs", "AWS fails training by itself", Status.COMPLETED, None, "SUCCEEDED",
        faults=aws_fails("RunTraining", "aws-fault"), **from_step("3dgs"),
    ),
    failing(
        "aws-fault-on", "AWS fails SfM again and again", "aws_fault",
        faults=aws_fails("RunSfM", "aws-fault", 9),
    ),
    # The end.
    failing(
        "unpublished", "the result can't be published", "fault", **from_step("compression"),
        faults={"PublishResult": ("Lambda.Unknown", 1)},
    ),
    failing(
        "recorded-late", "the failure is recorded at the second try", "no_artifacts",
        faults=once("RecordFailure"), **from_step("compression", ready=False),
    ),
    failing(
        "unrecorded", "the failure can't be recorded", "fault",
        faults={"RecordFailure": ("Lambda.Unknown", 9)}, orders={"sfm": "refuse"},
    ),
    Case("aborted", "the execution is stopped", Status.STOPPED, "stopped", "ABORTED", in_sfm=stop_execution),
    Case(
        "timed-out", "the whole execution times out", Status.FAILED, "timeout", "TIMED_OUT",
        orders={"sfm": "hang"}, timeouts={"": 8},
    ),
)  # fmt: skip

# ---- playing them ----------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a case came to."""

    visits: list[Visit]
    taken: set[Transition]
    execution: str
    row: JobRecord | None


@dataclass(frozen=True)
class Engine:
    """A local cloud whose programs and services do as the cases say."""

    cloud: LocalCloud
    folder: Path  # the programs'

    @property
    def step_functions(self) -> Any:
        return self.cloud.client("stepfunctions")

    @property
    def machine(self) -> str:
        return self.cloud.outputs["StateMachineArn"]

    def arn(self, job_id: str) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{job_id}-1"

    def order(self, job_id: str, stage: str) -> Path:
        return self.folder / "orders" / f"{job_id}.{stage}"

    def row(self, job_id: str) -> JobRecord | None:
        found = self.cloud.client("dynamodb").get_item(
            TableName=self.cloud.outputs["JobsTable"], Key={"jobId": {"S": job_id}}, ConsistentRead=True
        )
        return record_from_image(found["Item"]) if "Item" in found else None

    def change(self, job_id: str, fields: dict[str, Any]) -> None:
        serialize = TypeSerializer().serialize
        self.cloud.client("dynamodb").update_item(
            TableName=self.cloud.outputs["JobsTable"],
            Key={"jobId": {"S": job_id}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
            ExpressionAttributeNames={f"#{name}": name for name in fields},
            ExpressionAttributeValues={f":{name}": serialize(value) for name, value in fields.items()},
        )

    def set(self, function: str, variables: dict[str, str]) -> None:
        """Change the environment of one of the stack's functions."""
        stack = self.cloud.client("cloudformation").describe_stack_resources(StackName="spaceport")
        names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in stack["StackResources"]}
        functions = self.cloud.client("lambda")
        now = functions.get_function_configuration(FunctionName=names[function])["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=names[function], Environment={"Variables": now | variables}
        )

    def prepare(self, case: Case) -> None:
        if case.row is not None:
            now = now_iso()
            row = JobRecord(
                **{"job_id": case.name, "created_at": now, "updated_at": now, "stages": empty_stages()}
                | {"source": self.zip_uri(), "execution_arn": self.arn(case.name)} | case.row
            )  # fmt: skip
            serialize = TypeSerializer().serialize
            self.cloud.client("dynamodb").put_item(
                TableName=self.cloud.outputs["JobsTable"],
                Item={name: serialize(value) for name, value in item_of(row).items()},
            )
        for key in case.artifacts:
            bucket = self.cloud.outputs["DataBucket"]
            self.cloud.client("s3").put_object(Bucket=bucket, Key=f"jobs/{case.name}/{key}", Body=b"left")
        for stage, word in {**case.orders, **({"sfm": "wait"} if case.in_sfm else {})}.items():
            self.order(case.name, stage).write_text(word)

    def zip_uri(self) -> str:
        """An upload that no event makes a job of; the stub doesn't look at it."""
        return f"s3://{self.cloud.outputs['UploadsBucket']}/photos"

    def play(self, case: Case) -> Outcome:
        given = case.given
        if isinstance(given, dict):
            given = {"jobId": case.name, "s3Url": self.zip_uri(), **given}
        self.step_functions.start_execution(
            stateMachineArn=self.machine, name=f"{case.name}-1", input=json.dumps(given)
        )
        if case.in_sfm is not None:
            until(lambda: (row := self.row(case.name)) and row.stage == "sfm", seconds=60)
            case.in_sfm(self, case.name)
            self.order(case.name, "sfm").unlink()
        describe = self.step_functions.describe_execution
        until(lambda: describe(executionArn=self.arn(case.name))["status"] != "RUNNING", seconds=90)
        job_id = case.name if isinstance(case.given, dict) else f"{case.name}-1"
        until(lambda: (row := self.row(job_id)) and row.status is case.status, seconds=20, needed=False)
        history = self.step_functions.get_execution_history(executionArn=self.arn(case.name), maxResults=1000)
        visits = visits_of(history["events"])
        return Outcome(
            visits,
            transitions_taken(visits, self.arn(case.name)),
            describe(executionArn=self.arn(case.name))["status"],
            self.row(job_id),
        )

    def play_all(self, cases: tuple[Case, ...], definition: str) -> dict[str, Outcome]:
        """Play `cases`, several at a time, with their time-outs in the definition."""
        changed = json.loads(definition)
        for state, seconds in cases[0].timeouts.items():
            (changed["States"][state] if state else changed)["TimeoutSeconds"] = seconds
        self.step_functions.update_state_machine(stateMachineArn=self.machine, definition=json.dumps(changed))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip((case.name for case in cases), pool.map(self.play, cases), strict=True))


def timeouts_of(case: Case) -> list[tuple[str, int]]:
    return sorted(case.timeouts.items())


def until(holds: Callable[[], object], seconds: float, needed: bool = True) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            assert not needed, f"did not come true within {seconds:.0f} s"
            return
        time.sleep(0.1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, stubs) -> Iterator[Engine]:
    program = stubs.folder / "ordered.py"
    options = [word.replace(str(stubs.folder / "program.py"), str(program)) for word in stubs.options]
    program.write_text((HERE / "ordered_program.py").read_text())
    (stubs.folder / "orders").mkdir()
    faults = Faults(tmp_path_factory.mktemp("faults"))
    faults.make()
    for case in CASES:
        faults.fail_tasks(f"{case.name}-1", case.faults)
    cloud = start_faulty_cloud(tmp_path_factory.mktemp("engine"), faults, options)
    yield Engine(cloud, stubs.folder)
    cloud.down()


@pytest.fixture(scope="module")
def played(engine: Engine) -> dict[str, Outcome]:
    """Every case, played once."""
    uploads = engine.cloud.outputs["UploadsBucket"]
    engine.cloud.client("s3").put_object(Bucket=uploads, Key="photos", Body=b"photos")
    for case in CASES:
        engine.prepare(case)
    for function, variables in SETTINGS.items():
        engine.set(function, variables)
    definition = engine.step_functions.describe_state_machine(stateMachineArn=engine.machine)["definition"]
    outcomes: dict[str, Outcome] = {}
    # Those with short time-outs come last, when every function is warm.
    by_timeouts = sorted(CASES, key=timeouts_of)
    for _, cases in groupby(by_timeouts, key=timeouts_of):
        outcomes |= engine.play_all(tuple(cases), definition)
    return outcomes


# ---- the tests ----------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_branch_ends_in_the_right_status(played, case: Case):
    outcome = played[case.name]
    assert outcome.row is not None
    error = outcome.row.error
    seen = (outcome.row.status, error.code if error else None, outcome.execution)
    assert seen == (case.status, case.code, case.execution), (error, path_of(outcome.visits))


def test_a_stage_runs_where_there_is_a_machine_under_a_name_of_its_own(engine, played):
    # Given a job whose training got no machine of its first type
    row = played["fallback"].row
    # Then it ran on the second, and its SageMaker job's name is none that the first try may have had
    assert row.stages["3dgs"].instance == "ml.g5.xlarge"
    assert row.first_attempt == 0  # of the stage that it is in: compression was entered once
    describe = engine.cloud.client("sagemaker").describe_training_job
    job = describe(TrainingJobName="fallback-3dgs-1-12")
    assert (job["ResourceConfig"]["InstanceType"], job["EnableManagedSpotTraining"]) == (
        "ml.g5.xlarge",
        False,
    )
    # And one that did get one ran on a spot instance
    spot = describe(TrainingJobName="begin-3dgs-3dgs-1-0")
    assert spot["EnableManagedSpotTraining"]
    record = played["begin-3dgs"].row.stages["3dgs"]
    assert (record.instance, record.spot) == ("ml.g4dn.xlarge", True)
    # And was billed for no more seconds than it took; where AWS failed a job before, that is not known
    assert 0 < record.billable_seconds <= record.seconds + 1
    assert played["aws-fault-3dgs"].row.stages["3dgs"].billable_seconds is None
    assert spot["StoppingCondition"]["MaxWaitTimeInSeconds"] == SPOT_LIMITS["MaxWaitTimeInSeconds"]


def test_a_job_that_waited_says_so_no_more(played):
    row = played["quota"].row
    assert row.next_try_at is None
    assert row.stages["sfm"].seconds < 60  # of its work: the waits, 12 s of ours, don't count


def test_a_try_that_ran_before_the_stage_waited_stays_in_the_row_and_in_its_bill(played):
    # Given a spot instance that was taken away after half an hour, and no other till the day was over
    training = played["spot"].row.stages["3dgs"]
    # Then the row has it beside the on-demand machine that finished, whose billed seconds are its own
    assert training.tries == (Try(instance="ml.g4dn.xlarge", spot=True, seconds=1800, billable_seconds=540),)
    assert (training.spot, 0 < training.billable_seconds < 60) == (False, True)
    assert training.cost == 0  # on one's own machine
    # But not what never had a machine: that has not even begun
    for name, stage in (("quota", "sfm"), ("fallback", "3dgs"), ("no-capacity", "compression")):
        assert played[name].row.stages[stage].tries == ()
    assert played["no-quota"].row.stages["sfm"].started is None


def test_every_transition_of_the_definition_is_taken(played):
    taken = set().union(*(outcome.taken for outcome in played.values()))
    assert sorted(transitions_of(ASL["States"]) - taken) == []
    assert sorted(taken - transitions_of(ASL["States"])) == []


def test_the_table_in_the_docs_is_what_happened(played):
    table = table_of(played)
    if os.environ.get("SPACEPORT_WRITE_DOCS") == "1":
        TABLE.write_text(table)
    assert TABLE.read_text() == table


def path_of(visits: list[Visit]) -> str:
    """`PrepareJob ▸ … ▸ RunSfM ×2 ▸ …`: the states, and how many attempts where it was more than one."""
    attempts = ((visit.state, len(visit.errors) + visit.succeeded) for visit in visits)
    return " ▸ ".join(f"{state} ×{count}" if count > 1 else state for state, count in attempts)


def table_of(played: dict[str, Outcome]) -> str:
    head = """\
# The state machine, branch by branch

Written by `SPACEPORT_WRITE_DOCS=1 pytest tests/integration/test_state_machine.py`, which plays every case on
the local engine and compares it with this table: don't edit it by hand. Together the cases take every
transition of `statemachine/pipeline.asl.json`. `×2`: it took two attempts.

| case | states | row | error | execution |
| --- | --- | --- | --- | --- |
"""
    rows = []
    for case in CASES:
        outcome = played[case.name]
        row = outcome.row
        status, error = (row.status.value, row.error) if row else ("none", None)
        code = f"`{error.code}`" if error else ""
        rows.append(
            f"| {case.about} | {path_of(outcome.visits)} | {status} | {code} | {outcome.execution} |\n"
        )
    return head + "".join(rows)
