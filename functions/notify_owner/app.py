"""Job Changed (rows that have ended) → a letter to the owner, where the job asks for one.

At least once for a run's end: again where it is not known whether the letter went out, for SES has no way to
ask, or to have the same one refused; and where one event is delivered twice at once. What becomes of it is
the row's `notification`, never the job's status. A refusal of SES (an address that is not verified, while the
account is in its sandbox) is not tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from spaceport import metering
from spaceport.addressees import Addressees
from spaceport.changes import JobChanged
from spaceport.delivered import Delivered
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.job import JobRecord, NotificationState, now_iso
from spaceport.jobs import Jobs
from spaceport.letters import LARGEST_PICTURE, letter_about, mime

# SES's answers to what will not be otherwise a second later.
REFUSALS = frozenset(
    {
        *("MessageRejected", "MailFromDomainNotVerifiedException", "AccountSuspendedException"),
        *("SendingPausedException", "BadRequestException", "NotFoundException", "AccessDeniedException"),
    }
)


@dataclass(frozen=True)
class Addressed:
    """A letter as it goes out, and to whom."""

    address: str
    message: bytes


@dataclass(frozen=True)
class End:
    """What became of a letter: a `code` for logs, a `reason`, which may name people, for the job's row."""

    state: NotificationState
    code: str = ""
    reason: str = ""


class Settings(Environment):
    jobs_table: str
    user_pool_id: str
    sender_address: str


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
addressees = Addressees(boto3.client("cognito-idp"), settings.user_pool_id)
s3, ses = boto3.client("s3"), boto3.client("sesv2")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    told = JobChanged.model_validate(event["detail"])
    logger.append_keys(job_id=told.job_id)
    row = jobs.get(told.job_id)
    if row is None or not row.wants_letter:
        return {"jobId": told.job_id, "state": None}
    letter = written(
        row
    )  # before the claim: what fails here leaves nothing that looks as if it were being sent
    if not jobs.claim_notification(row, event["id"], now_iso()):
        return {"jobId": told.job_id, "state": None}
    end = send(row, letter) if isinstance(letter, Addressed) else letter
    jobs.notified(row, end.state, now_iso(), end.reason)
    if end.state is NotificationState.SENT:
        metering.count("NotificationsSent", job_id=row.job_id)
    elif end.state is NotificationState.FAILED:
        metering.count("NotificationsFailed", job_id=row.job_id)
    logger.info("notified", state=end.state, code=end.code)  # SES's message names the address
    return {"jobId": told.job_id, "state": end.state}


def written(row: JobRecord) -> Addressed | End:
    """The letter, or why there is none."""
    try:
        address = addressees.of(row)
    except UserError as error:
        return End(NotificationState.SKIPPED, error.code, error.message)
    picture = picture_of(row)
    try:
        letter = letter_about(row, has_picture=picture is not None)
        return Addressed(address, mime(letter, settings.sender_address, address, picture))
    except Exception as error:  # Python's own library has raised IndexError, too; a second try would again
        return End(NotificationState.FAILED, type(error).__name__, "The letter could not be written.")


def send(row: JobRecord, letter: Addressed) -> End:
    """What becomes of the letter. Raises what may be otherwise later, having noted that it failed."""
    try:
        ses.send_email(
            FromEmailAddress=settings.sender_address,
            Destination={"ToAddresses": [letter.address]},
            Content={"Raw": {"Data": letter.message}},
        )
    except ClientError as error:
        end = End(NotificationState.FAILED, error.response["Error"]["Code"], _message_of(error))
        if end.code in REFUSALS:
            return end
        note_failure(row, end)
        raise
    except BotoCoreError as error:  # there was no connection, or it broke: the letter may be out
        note_failure(row, End(NotificationState.FAILED, type(error).__name__, "SES did not answer."))
        raise
    return End(NotificationState.SENT)


def note_failure(row: JobRecord, end: End) -> None:
    metering.count("NotificationsFailed", job_id=row.job_id)
    jobs.notified(row, end.state, now_iso(), end.reason)


def _message_of(error: ClientError) -> str:
    return error.response["Error"].get("Message", "")[:500]


def picture_of(row: JobRecord) -> bytes | None:
    uri = row.outputs.thumbnail if row.outputs else None
    if uri is None:
        return None
    folder, _, name = uri.rpartition("/")
    delivered = Delivered(s3, f"{folder}/")
    picture = delivered.read(name)
    return picture if picture is not None and len(picture) <= LARGEST_PICTURE else None
