"""Typed environment variables: a handler names once what it reads, and says at once what is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict


class Environment(BaseModel):
    """Base of a handler's settings: field `jobs_table` is the variable `JOBS_TABLE`.

    A contract test compares the fields of every subclass with what `template.yaml` sets.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings of this process. Raises pydantic.ValidationError naming what is missing."""
        return cls.model_validate({name.lower(): value for name, value in environ.items()})
