"""Job Changed (rows that have ended) → a letter to the owner, where the job asks for one.

Once for a run's end; what becomes of it is the row's `notification`, never the job's status. A refusal of
SES (an address that is not verified, while the account is in its sandbox) is not tried again.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

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
    if row is None or not row.wants_letter or not jobs.claim_notification(row, now_iso()):
        return {"jobId": told.job_id, "state": None}
    state, reason = notify(row)
    jobs.notified(row, state, now_iso(), reason)
    logger.info("notified", state=state, reason=reason)
    return {"jobId": told.job_id, "state": state}


def notify(row: JobRecord) -> tuple[NotificationState, str]:
    """Write to the owner: what became of it, and why. Raises ClientError after noting that it failed."""
    try:
        send(row, addressees.of(row))
    except UserError as error:
        return NotificationState.SKIPPED, error.message
    except ClientError as error:
        metering.count("NotificationsFailed", job_id=row.job_id)
        reason = error.response["Error"].get("Message", "")[:500]
        if error.response["Error"]["Code"] not in REFUSALS:
            jobs.notified(row, NotificationState.FAILED, now_iso(), reason)
            raise
        return NotificationState.FAILED, reason
    metering.count("NotificationsSent", job_id=row.job_id)
    return NotificationState.SENT, ""


def send(row: JobRecord, address: str) -> None:
    picture = picture_of(row)
    letter = letter_about(row, has_picture=picture is not None)
    ses.send_email(
        FromEmailAddress=settings.sender_address,
        Destination={"ToAddresses": [address]},
        Content={"Raw": {"Data": mime(letter, settings.sender_address, address, picture)}},
    )


def picture_of(row: JobRecord) -> bytes | None:
    uri = row.outputs.thumbnail if row.outputs else None
    if uri is None:
        return None
    folder, _, name = uri.rpartition("/")
    delivered = Delivered(s3, f"{folder}/")
    picture = delivered.read(name)
    return picture if picture is not None and len(picture) <= LARGEST_PICTURE else None
