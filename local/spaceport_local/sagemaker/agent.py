"""With whose rights SageMaker's agent reads a job's inputs and writes its outputs and logs."""

from __future__ import annotations

from ministack import app

from spaceport_local.endpoint import Credentials
from spaceport_local.sagemaker.record import ClientFaultError, Job
from spaceport_local.service_roles import DeniedError, Role, Service, session

SAGEMAKER = Service("sagemaker.amazonaws.com", "SageMaker")


def credentials_of(job: Job) -> Credentials:
    """Those of the job's own role; where IAM isn't enforced, the account's.

    Raises:
        ClientFaultError: the role isn't there, or is not SageMaker's to assume.
    """
    if not app.AUTH:
        return Credentials(job.scope.account)
    try:
        return session(Role(job.request["RoleArn"]), SAGEMAKER, job.scope.region)
    except DeniedError as denied:
        raise ClientFaultError(str(denied)) from None
