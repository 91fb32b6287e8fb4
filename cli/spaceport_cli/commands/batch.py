"""`spaceport batch`: many zips in, a model of each out, and one row that tells how far they are."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from spaceport.batches import MANIFEST_SUFFIX, MAX_JOBS
from spaceport.job import OPERATOR, JobRequest
from spaceport.uploads import key_stem
from spaceport_cli.clouds import borrowed, output
from spaceport_cli.commands.run import job_request
from spaceport_cli.exits import ExitCode, RefusedError, UsageError
from spaceport_cli.expected_cost import expected_cost
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.photos import PhotoZip, photo_zip
from spaceport_cli.show import presenter_for
from spaceport_cli.tuning_options import tuning_of
from spaceport_cli.upload import Drop, find_job, metadata_of, send, send_manifest
from spaceport_cli.watching import conclude, tell_interrupted, watch_to_end
from spaceport_cli.wording import counted


def execute(args: argparse.Namespace) -> ExitCode:
    """Send the folder's zips and a manifest of them, and follow the batch to its end.

    Where zips were left out as refused, the exit code says so, even if all others became models.
    """
    asked = job_request(tuning_of(args.preset, args.settings), args.name or args.folder.resolve().name)
    with ExitStack() as opened:
        zips, bad = judged(zips_in(args.folder), opened)
        if bad and not (args.skip_bad and zips):
            raise _refused(zips, bad)
        code = _run(args, zips, asked, [each.message for each in bad])
    return ExitCode.REFUSED if bad and code is ExitCode.DONE else code


def zips_in(folder: Path) -> list[Path]:
    """The zips that lie in the folder, by name. Raises UsageError where there are none, or too many."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", "Name the folder that the zips lie in.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".zip" and path.is_file())
    if not 1 <= len(found) <= MAX_JOBS:
        raise UsageError(f"{folder} holds {len(found)} zips.", f"A batch has 1 to {MAX_JOBS}.")
    return found


def judged(paths: Iterable[Path], opened: ExitStack) -> tuple[list[PhotoZip], list[RefusedError]]:
    """The zips, judged before any is sent: those that may become models, and why the others may not."""
    zips, bad = [], []
    for path in paths:
        try:
            zips.append(opened.enter_context(photo_zip(path)))
        except RefusedError as refused:
            bad.append(refused)
    return zips, bad


def _refused(zips: Sequence[PhotoZip], bad: Sequence[RefusedError]) -> RefusedError:
    """Why nothing is sent: each bad zip's reason."""
    way = f" Or send the other {counted(len(zips), 'zip')}: --skip-bad." if zips else ""
    if len(bad) == 1:
        return RefusedError(bad[0].code, bad[0].message, f"{bad[0].hint}{way}".strip())
    reasons = " ".join(each.message for each in bad)
    return RefusedError(
        "bad_zips",
        f"{len(bad)} of {len(zips) + len(bad)} zips can't become models, so none was sent: {reasons}",
        f"Mend them, or move them out of the folder.{way}",
    )


def _run(
    args: argparse.Namespace, zips: Sequence[PhotoZip], asked: JobRequest, left_out: Sequence[str]
) -> ExitCode:
    presenter = presenter_for(sys.stdout, sys.stderr, args.json)
    with ExitStack() as shown, borrowed(args.stack, presenter.note) as loan:
        shown.enter_context(presenter)
        for reason in left_out:
            presenter.note(f"Left out: {reason}")
        s3, bucket = loan.cloud.client("s3"), output(loan.cloud, "UploadsBucket")
        # The same zips with the same settings are the same batch: the folder and the manifest say which.
        stem = f"uploads/{OPERATOR}/{key_stem(asked.job_name or '')}-{_digest(zips, asked)}"
        drops = [
            Drop(bucket, f"{stem}.batch/{key_stem(photos.name)}-{photos.digest[:12]}.zip", "{}", photos)
            for photos in zips
        ]
        if told := expected_cost(loan.cloud, [photos.photos for photos in zips], asked):
            presenter.note(told)
        for drop in drops:
            if find_job(s3, drop) is None:
                send(s3, drop, presenter.uploading)
        batch_id = send_manifest(s3, bucket, stem + MANIFEST_SUFFIX, manifest(drops, asked))
        presenter.note(f"Sent {counted(len(zips), 'zip')}: batch {batch_id}.")
        users_latest_jobs().remember(args.stack, batch_id)
        try:
            status = watch_to_end(loan.cloud, batch_id, presenter)
        except KeyboardInterrupt:
            shown.close()  # as when watching
            return tell_interrupted(batch_id, args, stays_up=loan.keep())
    return conclude(status, None, quiet=args.json)


def manifest(drops: Sequence[Drop], asked: JobRequest) -> dict[str, Any]:
    """The manifest of these zips: each job is called after its zip, the batch as `asked` is."""
    defaults = asked.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"job_name"})
    jobs = [{"s3Url": f"s3://{drop.bucket}/{drop.key}", "jobName": drop.zip.name} for drop in drops]
    return {"name": asked.job_name, "defaults": defaults, "jobs": jobs}


def _digest(zips: Sequence[PhotoZip], asked: JobRequest) -> str:
    told = [metadata_of(asked), *(f"{photos.name} {photos.digest}" for photos in zips)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
