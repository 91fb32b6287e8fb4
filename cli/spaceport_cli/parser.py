"""What can be typed after `spaceport`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from spaceport_cli.exits import ExitCode

_EPILOG = (
    "exit codes: 0 done, 1 the cloud can't be used, 2 the zip is refused, 3 the job failed, 4 the job was"
    " stopped, 64 the command line is wrong, 130 interrupted"
)


class Parser(argparse.ArgumentParser):
    """argparse, with our own exit code: its 2 is that of a refused zip."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n  See `{self.prog} --help`.\n")


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

    command("up", "up", "start the local cloud and leave it running")
    command("down", "down", "stop the local cloud")
    _run_arguments(command("run", "run", "make a model of a zip, or a folder, of photos"))
    _watch_arguments(command("watch", "watch", "follow a job to its end and fetch its results"))
    _open_arguments(command("open", "open_viewer", "open a finished model in the browser"))
    return top


def setting(text: str) -> tuple[str, str]:
    """`key=value` as a pair. Raises argparse.ArgumentTypeError for anything else."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, for example holdout=8")
    return key, value


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("photos", metavar="PHOTOS", type=Path, help="a zip of photos, or a folder of them")
    run.add_argument("--preset", help="time against quality: preview, balanced (the default) or quality")
    run.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        type=setting,
        action="append",
        default=[],
        help="one setting over the preset's, like holdout=8; may be given again",
    )
    run.add_argument("--name", help="what to call the job; the file's name if not given")
    run.add_argument("--again", action="store_true", help="run even if this very job was done before")
    _out(run)
    _stack(run)
    _json(run)


def _watch_arguments(watch: argparse.ArgumentParser) -> None:
    _job(watch)
    _out(watch)
    _stack(watch)
    _json(watch)


def _open_arguments(open_: argparse.ArgumentParser) -> None:
    _job(open_)
    open_.add_argument("--no-browser", action="store_true", help="only print the link")
    _stack(open_)


def _job(command: argparse.ArgumentParser) -> None:
    command.add_argument("job", metavar="JOB", help="a job's id, or `latest`: the last one started from here")


def _out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="where the results go; {job's name}-splat if not given"
    )


def _stack(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stack", metavar="NAME", help="a stack on AWS; the local cloud if not given")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON line per update, nothing else")
