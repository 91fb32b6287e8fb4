"""The engine as a process: start, stop, restart, a kill, two at once, and plain words when it can't."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spaceport.errors import UserError

pytestmark = pytest.mark.engine


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_start_is_idempotent_and_stop_tells_whether_one_ran(new_launcher, tmp_path: Path) -> None:
    launcher = new_launcher(tmp_path)
    assert launcher.running() is None
    first = launcher.start()
    assert launcher.start() == first == launcher.running()
    assert launcher.stop() is True
    assert launcher.running() is None
    assert launcher.stop() is False


def test_starts_at_the_same_time_are_one_engine(new_launcher, tmp_path: Path) -> None:
    launchers = [new_launcher(tmp_path) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        endpoints = list(pool.map(lambda launcher: launcher.start(), launchers))
    assert len(set(endpoints)) == 1


def test_data_survive_a_restart(new_launcher, bench_of, tmp_path: Path) -> None:
    # Given an engine with an object, a row and a job that has ended
    launcher = new_launcher(tmp_path)
    bench = bench_of(launcher.start())
    bench.put("kept.txt", "kept")
    table(bench).put_item(TableName="rows", Item={"id": {"S": "1"}})
    ended = bench.run(bench.processing("exit=4"))
    tree = launcher.folder.jobs / "processing" / ended["ProcessingJobName"] / "opt"
    assert tree.exists()
    # When it is stopped and started again
    launcher.stop()
    bench = bench_of(launcher.start())
    # Then all are as they were
    assert bench.get("kept.txt") == "kept"
    assert table(bench).scan(TableName="rows")["Items"] == [{"id": {"S": "1"}}]
    assert bench.describe(ended["ProcessingJobName"])["FailureReason"] == ended["FailureReason"]
    # But the failed job's files, which were kept for a look, are gone
    assert not tree.exists()


def test_kill_leaves_no_children_and_keeps_the_data(new_launcher, bench_of, tmp_path: Path) -> None:
    # Given an engine with a row, a running job with a child, and a Lambda worker in the middle of its work
    launcher = new_launcher(tmp_path)
    bench = bench_of(launcher.start())
    table(bench).put_item(TableName="rows", Item={"id": {"S": "1"}})
    name = bench.start(bench.processing("grandchild=killed sleep=600"))
    assert bench.eventually(lambda: bench.lines(name))
    pids = [int(pid) for pid in bench.lines(name)[0].split()[1:]]
    pids.append(busy_worker(bench, tmp_path / "worker.pid"))
    assert all(is_alive(pid) for pid in pids)
    time.sleep(1.5)  # a save of the state comes every 0.5 s here
    # When the engine is killed
    os.kill(json.loads(launcher.folder.address.read_text())["pid"], signal.SIGKILL)
    # Then every process of it ends
    assert bench.eventually(lambda: not any(is_alive(pid) for pid in pids)), pids
    assert bench.eventually(lambda: launcher.running() is None)
    # And its data are there when it starts again; the job has failed for it
    bench = bench_of(launcher.start())
    assert table(bench).scan(TableName="rows")["Items"] == [{"id": {"S": "1"}}]
    described = bench.describe(name)
    assert described["ProcessingJobStatus"] == "Failed"
    assert "the local cloud was stopped" in described["FailureReason"]


def test_a_save_that_the_disk_refuses_is_not_the_last_one(new_launcher, bench_of, tmp_path: Path) -> None:
    # Given an engine whose journal can't begin a new segment for a while
    launcher = new_launcher(tmp_path)
    bench = bench_of(launcher.start())
    table(bench).put_item(TableName="rows", Item={"id": {"S": "1"}})
    assert bench.eventually(launcher.folder.journal.exists)
    aside = launcher.folder.journal.rename(tmp_path / "aside")
    launcher.folder.journal.write_text("in the way")
    assert bench.eventually(lambda: "could not begin a new segment" in launcher.folder.log.read_text())
    # When that is mended
    launcher.folder.journal.unlink()
    aside.rename(launcher.folder.journal)
    table(bench).put_item(TableName="rows", Item={"id": {"S": "2"}})
    # Then the state is saved again
    saved = launcher.folder.state / "dynamodb.json"
    assert bench.eventually(lambda: saved.exists() and '"2"' in saved.read_text())


def test_interrupted_execution_tells_its_end_after_a_restart(new_launcher, bench_of, tmp_path: Path) -> None:
    # Given a queue for status events and a running execution
    launcher = new_launcher(tmp_path)
    bench = bench_of(launcher.start())
    sqs, events = bench.endpoint.client("sqs"), bench.endpoint.client("events")
    sqs.create_queue(QueueName="ends")
    pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED"]}}
    events.put_rule(Name="ends", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:ends"}
    events.put_targets(Rule="ends", Targets=[target])
    states = bench.endpoint.client("stepfunctions")
    definition = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
    machine = states.create_state_machine(name="w", definition=json.dumps(definition), roleArn=bench.role)
    states.start_execution(stateMachineArn=machine["stateMachineArn"], name="interrupted")
    # When the engine is restarted
    launcher.stop()
    bench = bench_of(launcher.start())
    # Then the event comes
    sqs = bench.endpoint.client("sqs")
    queue = sqs.get_queue_url(QueueName="ends")["QueueUrl"]
    messages = bench.eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    assert json.loads(messages[0]["Body"])["detail"]["name"] == "interrupted"


def test_two_engines_run_side_by_side(new_launcher, bench_of, tmp_path: Path) -> None:
    one, other = new_launcher(tmp_path / "one"), new_launcher(tmp_path / "other")
    first, second = bench_of(one.start()), bench_of(other.start())
    first.put("mine.txt", "1")
    assert first.endpoint != second.endpoint
    assert second.keys("") == []
    assert other.stop()
    assert first.get("mine.txt") == "1"


def test_the_port_of_the_last_time_is_taken_again(new_launcher, tmp_path: Path) -> None:
    # Given an engine that had to take a later port than another one's, and was killed
    other, launcher = new_launcher(tmp_path / "other"), new_launcher(tmp_path / "mine")
    other.start()
    endpoint = launcher.start()
    os.kill(json.loads(launcher.folder.address.read_text())["pid"], signal.SIGKILL)
    # When the earlier port is free
    other.stop()
    # Then it listens where the links of its finished jobs say, also after a stop in good order
    assert launcher.start() == endpoint
    launcher.stop()
    assert launcher.start() == endpoint


def test_port_in_use_is_told(new_launcher, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use") as refused:
            new_launcher(tmp_path, port).start()
    assert refused.value.code == "port_in_use"
    assert "SPACEPORT_PORT" in refused.value.hint


def test_second_engine_on_the_same_data_is_refused(new_launcher, repository: Path, tmp_path: Path) -> None:
    new_launcher(tmp_path).start()
    command = [sys.executable, "-m", "spaceport_local", "--data-dir", str(tmp_path)]
    second = subprocess.run(
        [*command, "--project", str(repository)], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 2
    assert "An engine already runs with the data in" in second.stderr


def test_other_version_of_the_engine_is_refused_in_words(repository: Path, tmp_path: Path) -> None:
    # Given an installation whose MiniStack is another version, by what its packaging says
    installed = tmp_path / "installed" / "ministack-1.6.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ministack\nVersion: 1.6.0\n")
    # When somebody starts the local cloud
    up = subprocess.run(
        [sys.executable, "-m", "spaceport_cli", "up"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(installed.parent), "SPACEPORT_HOME": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Then nothing runs, and the command says what to do
    assert up.returncode != 0
    assert "The local cloud needs MiniStack 1.5.33; 1.6.0 is installed." in up.stderr
    assert "pip install ministack==1.5.33" in up.stderr
    assert "Traceback" not in up.stderr
    assert not (tmp_path / "data" / "engine.json").exists()


def test_left_over_address_is_not_an_engine(new_launcher, tmp_path: Path) -> None:
    # Given what a killed engine leaves, its port taken by somebody else
    launcher = new_launcher(tmp_path)
    tmp_path.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        launcher.folder.address.write_text(json.dumps({"pid": 1, "port": other.getsockname()[1]}))
        launcher.folder.lock.touch()
        assert launcher.running() is None
        assert launcher.stop() is False


def test_an_engine_that_can_t_be_found_is_not_waited_for_for_ever(
    new_launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an engine whose address somebody has deleted
    launcher = new_launcher(tmp_path)
    launcher.start()
    address = launcher.folder.address.read_text()
    launcher.folder.address.unlink()
    monkeypatch.setattr("spaceport_local.launcher.STOP_TIMEOUT_S", 0.2)
    # When it is stopped, then that is told
    with pytest.raises(UserError, match="nothing tells which process") as error:
        launcher.stop()
    assert str(tmp_path) in error.value.hint
    launcher.folder.address.write_text(address)


def test_an_engine_ends_with_its_data_folder(new_launcher, bench_of, tmp_path: Path) -> None:
    # Given an engine with a running job
    launcher = new_launcher(tmp_path)
    bench = bench_of(launcher.start())
    name = bench.start(bench.processing("grandchild=orphan sleep=600"))
    assert bench.eventually(lambda: bench.lines(name))
    pids = [json.loads(launcher.folder.address.read_text())["pid"]]
    pids += [int(pid) for pid in bench.lines(name)[0].split()[1:]]
    # When its folder is moved away under it
    launcher.folder.root.rename(tmp_path.with_name("moved-away"))
    # Then no process of it is left
    assert bench.eventually(lambda: not any(is_alive(pid) for pid in pids)), pids


def table(bench):
    """DynamoDB with the table `rows`."""
    dynamodb = bench.endpoint.client("dynamodb")
    if "rows" not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName="rows",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    return dynamodb


def busy_worker(bench, pid_file: Path) -> int:
    """The process id of a function that sleeps for long."""
    import io
    import zipfile

    source = (
        "import os, time\n"
        "def handler(event, context):\n"
        f"    open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", source)
    functions = bench.endpoint.client("lambda")
    functions.create_function(
        FunctionName="busy",
        Runtime="python3.12",
        Handler="app.handler",
        Role=bench.role,
        Timeout=900,
        Code={"ZipFile": code.getvalue()},
    )
    functions.invoke(FunctionName="busy", InvocationType="Event", Payload=b"{}")
    assert bench.eventually(lambda: pid_file.exists() and pid_file.read_text())
    return int(pid_file.read_text())
