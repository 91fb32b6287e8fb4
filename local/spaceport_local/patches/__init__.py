"""Fixes to MiniStack, one module each. Each tells what MiniStack does instead and names its seams.

MiniStack reads its settings when it is imported, so only the engine imports this, once they are set.
"""

from __future__ import annotations

from spaceport_local import service_roles
from spaceport_local.journal import Journal
from spaceport_local.patches import (
    checkpoint,
    cognito_users,
    durability,
    executions,
    expressions,
    function_interpreter,
    http_api,
    json_paths,
    lambda_errors,
    log_subscriptions,
    loopback_transport,
    metric_math,
    objects,
    open_results,
    outboxes,
    resource_arns,
    resource_types,
    role_checks,
    secrets,
    stream_mappings,
    tables,
    workers,
)

PATCHES = (
    lambda_errors,
    executions,
    json_paths,
    tables,
    expressions,
    function_interpreter,
    workers,
    resource_types,
    metric_math,
    secrets,
    http_api,
    outboxes,
    cognito_users,
    objects,
    log_subscriptions,
    stream_mappings,
    loopback_transport,
    resource_arns,
    role_checks,
    open_results,
)
SEAMS = (
    *service_roles.SEAMS,
    *checkpoint.SEAMS,
    *durability.SEAMS,
    *(seam for patch in PATCHES for seam in patch.SEAMS),
)


def install(journal: Journal) -> None:
    """Apply every patch, to the MiniStack that they were written for (`seams.check`)."""
    for patch in PATCHES:
        patch.install()
    # Around what the others made of the tables' streams and of an object's event:
    durability.install(journal)
    checkpoint.install(journal)
