"""`python -m spaceport_local`: run an engine in the foreground."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from spaceport.errors import UserError
from spaceport_local import engine
from spaceport_local.folders import DataFolder, default_data_folder, find_project

EXIT_REFUSED = 2
ENFORCE_VARIABLE = "SPACEPORT_ENFORCE_IAM"  # what the whole test suite runs with


def main() -> int:
    arguments = _parser().parse_args()
    folder = None
    try:
        project = arguments.project or find_project()
        folder = DataFolder(arguments.data_dir or default_data_folder(project))
        folder.root.mkdir(parents=True, exist_ok=True)
        folder.refusal.unlink(missing_ok=True)
        engine.configure_logging()
        engine.run(
            engine.EngineSettings(
                folder=folder,
                project=project,
                port=arguments.port,
                checkpoint_s=arguments.checkpoint_seconds,
                stop_grace_s=arguments.stop_grace_seconds,
                programs=dict(arguments.program),
                enforce_iam=arguments.enforce_iam,
            )
        )
    except UserError as error:
        print(f"spaceport: {error}", file=sys.stderr)
        if folder is not None:
            folder.refusal.write_text(json.dumps(asdict(error.told())))
        return EXIT_REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spaceport_local", description=__doc__)
    parser.add_argument("--data-dir", type=_folder, help="default: $SPACEPORT_HOME or .spaceport/")
    parser.add_argument("--project", type=_folder, help="the checkout; default: found from here upwards")
    parser.add_argument("--port", type=int, help="default: 4566 or the next free one")
    parser.add_argument("--checkpoint-seconds", type=float, default=3.0)
    parser.add_argument("--stop-grace-seconds", type=float, default=8.0)
    parser.add_argument(
        "--program",
        type=_program,
        action="append",
        default=[],
        metavar="NAME=SCRIPT",
        help="run SCRIPT for images called NAME (sfm, gaussian, compressor, or any other)",
    )
    parser.add_argument(
        "--enforce-iam",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get(ENFORCE_VARIABLE) == "1",
        help=f"let roles do only what their policies allow; default: ${ENFORCE_VARIABLE} is 1",
    )
    return parser


def _folder(text: str) -> Path:
    return Path(text).expanduser().resolve()


def _program(text: str) -> tuple[str, Path]:
    name, separator, script = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SCRIPT")
    return name, _folder(script)


if __name__ == "__main__":
    sys.exit(main())
