"""Fixes to MiniStack, one module each. Each tells what MiniStack does instead and names its seams.

MiniStack reads its settings when it is imported, so only the engine imports this, once they are set.
"""

from __future__ import annotations

from spaceport_local.journal import Journal
from spaceport_local.patches import (
    checkpoint,
    cognito_users,
    durability,
    executions,
    function_interpreter,
    http_api,
    json_paths,
    lambda_errors,
    log_subscriptions,
    metric_math,
    objects,
    resource_types,
    seams,
    secrets,
    stream_mappings,
    tables,
)

PATCHES = (
    lambda_errors,
    executions,
    json_paths,
    tables,
    function_interpreter,
    resource_types,
    metric_math,
    secrets,
    http_api,
    cognito_users,
    objects,
    log_subscriptions,
    stream_mappings,
)
SEAMS = (*checkpoint.SEAMS, *durability.SEAMS, *(seam for patch in PATCHES for seam in patch.SEAMS))


def install(journal: Journal) -> None:
    """Apply every patch. Raises UserError `engine_changed` when they were written for another MiniStack."""
    seams.check(SEAMS)
    for patch in PATCHES:
        patch.install()
    # Around what the others made of the tables' streams and of an object's event:
    durability.install(journal)
    checkpoint.install(journal)
