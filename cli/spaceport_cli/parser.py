"""What can be typed after `spaceport`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from spaceport.stages import JOB_STAGES
from spaceport_cli.exits import UsageError

_EPILOG = (
    "exit codes: 0 done, 1 the cloud can't be used or refuses, 2 the zip is refused, 3 the job failed, 4 the"
    " job was stopped, 64 the command line is wrong, 130 interrupted"
)

_JOB_HELP = "a job's id, the beginning of one, or `latest`: the last one started from here"
_STEPS = tuple(stage.name for stage in JOB_STAGES)


class Parser(argparse.ArgumentParser):
    """argparse, with an error like every other: its own exit code, 2, is that of a refused zip.

    Options are written out: `--js` would turn an error of this very kind into no JSON.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}", f"See `{self.prog} --help`.")


def parser() -> Parser:
    """The command's parser. `module` in its result names the module whose `execute(args)` carries it out."""
    top = Parser(
        prog="spaceport",
        description="A zip of drone photos in, a 3D Gaussian Splat for the web out.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="version", version=f"spaceport {version('spaceport')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, module: str, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about.capitalize() + ".", epilog=_EPILOG)
        made.set_defaults(module=f"spaceport_cli.commands.{module}")
        return made

    _up_arguments(command("up", "up", "start the local cloud and leave it running"))
    command("down", "down", "stop the local cloud")
    _run_arguments(command("run", "run", "make a model of a zip, or a folder, of photos"))
    _batch_arguments(command("batch", "batch", "make a model of each zip in a folder"))
    _watch_arguments(command("watch", "watch", "follow a job to its end and fetch its results"))
    _status_arguments(command("status", "status", "show how the newest jobs, or one of them, stand"))
    _logs_arguments(command("logs", "logs", "show what a job's programs printed"))
    _events_arguments(command("events", "events", "show what became of a job, change by change"))
    _stop_arguments(command("stop", "stop", "stop a job that waits or runs"))
    _retry_arguments(
        command("retry", "retry", "go on with a job that has ended, or do its later stages otherwise")
    )
    _delete_arguments(command("delete", "delete", "delete a job that has ended, with all that it has made"))
    _share_arguments(
        command("share", "share", "give a link to a finished model, which ends, or take all back")
    )
    _open_arguments(command("open", "open_viewer", "open the web app, or a finished model, in the browser"))
    _report_arguments(command("report", "report", "open a finished job's report in the browser"))
    _publish_arguments(
        command("publish-web", "publish_web", "put the web app where a stack on AWS serves it")
    )
    _example_arguments(command("example-input", "example_input", "print a valid input of the state machine"))
    _doctor_arguments(
        command(
            "doctor",
            "doctor",
            "check what the local cloud needs of this machine, or a stack of its AWS account",
        )
    )
    return top


def setting(text: str) -> tuple[str, str]:
    """`key=value` as a pair. Raises argparse.ArgumentTypeError for anything else."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, for example holdout=8")
    return key, value


def _up_arguments(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--enforce-iam",
        action="store_true",
        help="let every role do only what its policies allow, as AWS does",
    )


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("photos", metavar="PHOTOS", type=Path, help="a zip of photos, or a folder of them")
    _tuning(run, "preview, balanced (the default) or quality; vanilla is plain 3DGS, to compare with")
    run.add_argument("--name", help="what to call the job; the file's name if not given")
    run.add_argument(
        "--again", action="store_true", help="make the model anew, whatever became of these photos before"
    )
    _out(run)
    _stack(run)
    _json(run)


def _batch_arguments(batch: argparse.ArgumentParser) -> None:
    batch.add_argument("folder", metavar="FOLDER", type=Path, help="the folder that the zips lie in")
    _tuning(batch, "preview, balanced (the default) or quality, for all of them")
    batch.add_argument("--name", help="what to call the batch; the folder's name if not given")
    batch.add_argument(
        "--skip-bad", action="store_true", help="send the others where zips can't become models; ends with 2"
    )
    batch.set_defaults(out=None)  # for a later `watch`
    _stack(batch)
    _json(batch)


def _watch_arguments(watch: argparse.ArgumentParser) -> None:
    _job(watch)
    _out(watch)
    _stack(watch)
    _json(watch)


def _open_arguments(open_: argparse.ArgumentParser) -> None:
    open_.add_argument("job", metavar="JOB", nargs="?", help=f"{_JOB_HELP}; the web app if not given")
    open_.add_argument("--no-browser", action="store_true", help="only print the link")
    _stack(open_)


def _publish_arguments(publish: argparse.ArgumentParser) -> None:
    publish.add_argument(
        "--stack", metavar="NAME", required=True, help="a stack that was deployed with Site=true"
    )
    publish.add_argument(
        "--project",
        metavar="FOLDER",
        type=Path,
        default=Path(__file__).resolve().parents[2],
        help="the checkout that has the app; the command's own if not given",
    )


def _status_arguments(status: argparse.ArgumentParser) -> None:
    status.add_argument("job", metavar="JOB", nargs="?", help=f"{_JOB_HELP}; the newest jobs if not given")
    status.add_argument(
        "--limit", metavar="N", type=_count, default=10, help="how many jobs, 1 to 100; 10 if not given"
    )
    _stack(status)
    _json(status, "job")


def _logs_arguments(logs: argparse.ArgumentParser) -> None:
    _job(logs)
    logs.add_argument("--stage", choices=_STEPS, help="only this stage's lines")
    logs.add_argument("--follow", action="store_true", help="go on until the job has ended")
    _stack(logs)
    _json(logs, "line of the log")


def _events_arguments(events: argparse.ArgumentParser) -> None:
    _job(events)
    _stack(events)
    _json(events, "change")


def _delete_arguments(delete: argparse.ArgumentParser) -> None:
    _job(delete)
    delete.add_argument("--yes", action="store_true", help="don't ask; a program can't be asked")
    _stack(delete)


def _share_arguments(share: argparse.ArgumentParser) -> None:
    _job(share)
    share.add_argument(
        "--days",
        metavar="N",
        type=_days,
        default=7,
        help="how long the link is good, 1 to 30; 7 if not given",
    )
    share.add_argument("--revoke", action="store_true", help="take all links of the job back")
    _stack(share)


def _stop_arguments(stop: argparse.ArgumentParser) -> None:
    _job(stop)
    stop.add_argument(
        "--discard", action="store_true", help="delete what the job has made; kept for a retry if not given"
    )
    _stack(stop)
    _json(stop, "job")


def _retry_arguments(retry: argparse.ArgumentParser) -> None:
    _job(retry)
    retry.add_argument(
        "--from",
        dest="step",
        choices=_STEPS,
        help="the stage to begin with; after the last finished one if not given, or the first that reads what"
        " is changed",
    )
    _tuning(retry, "another preset; settings that were given stay")
    _out(retry)
    _stack(retry)
    _json(retry)


def _report_arguments(report: argparse.ArgumentParser) -> None:
    _job(report)
    report.add_argument(
        "--out", metavar="FILE", help="save it as this file, or in this folder (NEW/), and don't open it"
    )
    report.add_argument("--no-browser", action="store_true", help="only print the saved file's path")
    _stack(report)


def _example_arguments(example: argparse.ArgumentParser) -> None:
    example.add_argument("--s3-url", metavar="URI", help="the zip, in the stack's uploads bucket")
    _stack(example)


def _doctor_arguments(doctor: argparse.ArgumentParser) -> None:
    _stack(doctor)
    _json(doctor, "check")


def _count(text: str) -> int:
    return _up_to(100, text)


def _days(text: str) -> int:
    return _up_to(30, text)


def _up_to(most: int, text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
    return int(text)


def _job(command: argparse.ArgumentParser) -> None:
    command.add_argument("job", metavar="JOB", help=_JOB_HELP)


def _out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="where the results go; {job's name}-splat if not given"
    )


def _tuning(command: argparse.ArgumentParser, preset: str) -> None:
    command.add_argument("--preset", help=preset)
    command.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        type=setting,
        action="append",
        default=[],
        help="one setting over the preset's, like holdout=8; may be given again",
    )


def _stack(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stack", metavar="NAME", help="a stack on AWS; the local cloud if not given")


def _json(command: argparse.ArgumentParser, thing: str = "update") -> None:
    command.add_argument("--json", action="store_true", help=f"print one JSON line per {thing}, nothing else")
