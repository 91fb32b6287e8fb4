"""`spaceport open`: show the web app, or a finished model, in the browser."""

from __future__ import annotations

import argparse
import sys
import webbrowser

from spaceport.errors import UserError
from spaceport.stages import Status
from spaceport_cli.api import ApiClient, sign_in
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.follow import NoSuchJobError
from spaceport_cli.job_status import NotDoneError
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.show import presenter_for
from spaceport_cli.watching import conclude, status_now
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Print a link and open it: the web app's, or a job's viewer; one without a model says how it stands."""
    if args.job is None:
        return _open_app(args)
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud, presenter_for(sys.stderr, sys.stderr, False) as presenter:
        job_id = whole_id(ApiClient(cloud), job_id)
        status = status_now(cloud, job_id, presenter)
    if status is None:
        raise NoSuchJobError(job_id)
    if not status.is_terminal:
        raise NotDoneError(status, "model")
    if status.status is not Status.COMPLETED:
        return conclude(status, None, quiet=False)
    link = status.outputs.viewer_url if status.outputs else None
    if link is None:
        raise UserError(
            "no_viewer",
            "This stack serves no viewer.",
            f"`spaceport watch {job_id}` fetches the model; the stack's ViewerBaseUrl makes links.",
        )
    print(link)
    if not args.no_browser:
        webbrowser.open(link)
    return ExitCode.DONE


def _open_app(args: argparse.Namespace) -> ExitCode:
    """Here the app takes the operator's token from the link's last part, which a browser sends to nobody.

    On AWS it takes none: whoever got a user to follow such a link would be sent that user's photos.
    """
    with running_cloud(args.stack) as cloud:
        address = cloud.app_url()
        signed_in = address if args.stack else f"{address}#/session/{sign_in(cloud)}"
    print(signed_in if args.no_browser else address)
    if not args.no_browser:
        webbrowser.open(signed_in)
    return ExitCode.DONE
