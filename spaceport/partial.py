"""What a job that did not finish has made all the same: its finished stages' results, where they are there.

A file counts where it really lies in the bucket, and only if it is this run's: what is older than its stage's
beginning is an earlier run's. The viewer is no partial result: nobody has made it servable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.artifacts import Artifacts, is_older
from spaceport.formats import FILES, LEVELS_OF_DETAIL
from spaceport.job import JobRecord, Outputs
from spaceport.pictures import THUMBNAIL, VIDEO
from spaceport.plan import COLMAP, COMPRESSED, MODEL
from spaceport.quality import QUALITY_REPORT
from spaceport.report_times import REPORT_PAGE
from spaceport.stages import COMPRESSION, SFM, TRAINING

POINTS, GEOREF, CAMERAS = "sparse/points.ply", "sparse/georef.json", "sparse/cameras.geojson"
SOG = "model.sog"
# By the output's name, in the stage's folder.
_OF_SFM: Mapping[str, str] = {"points": POINTS, "georef": GEOREF, "cameras": CAMERAS}
_OF_COMPRESSION: Mapping[str, str] = {
    "sog": SOG,
    "lod": LEVELS_OF_DETAIL,
    "quality": QUALITY_REPORT,
    "report": REPORT_PAGE,
    "video": VIDEO,
    "thumbnail": THUMBNAIL,
    **{kind.value: file for kind, file in FILES.items()},
}

logger = logging.getLogger(__name__)


class _Candidate(NamedTuple):
    """Where an output of a stage would be."""

    stage: str
    output: str
    uri: str


@dataclass(frozen=True)
class PartialResults:
    """Finds what failed and stopped jobs have left."""

    artifacts: Artifacts

    def of(self, row: JobRecord) -> Outputs | None:
        """The results that `row`'s run has left; None where it has left none, or none is to stay.

        A run of a job that had finished before leaves the results that it had: a model with its viewer is
        worth more than parts. But not once its compression stage has put its own files in their place. As
        for a retry, parts are looked for in the folders that a plan has by itself.
        """
        if row.discard_artifacts:
            return None
        earlier = row.outputs if row.earlier_results else None
        if earlier is None:
            row = row.as_before_it_began()
        try:
            found = [each for each in self._candidates(row) if self._is_there(row, each.stage, each.uri)]
        except (BotoCoreError, ClientError):
            # That the job ends, and why, is worth more than what it left: it must not wait for S3.
            logger.exception("what %s has left could not be looked up", row.job_id)
            return earlier
        if earlier is not None and all(each.stage != COMPRESSION.name for each in found):
            return earlier
        return Outputs.model_validate({each.output: each.uri for each in found}) if found else None

    def _candidates(self, row: JobRecord) -> Iterator[_Candidate]:
        """What there may be; a later one of an output is worth more."""
        home = self.artifacts.home(row.job_id)
        yield from (_Candidate(SFM.name, name, f"{home}{COLMAP}{file}") for name, file in _OF_SFM.items())
        if row.model_s3_uri is not None:
            yield _Candidate(TRAINING.name, "ply", f"{row.model_s3_uri}{MODEL}")
        for name, file in _OF_COMPRESSION.items():
            yield _Candidate(COMPRESSION.name, name, f"{home}{COMPRESSED}{file}")

    def _is_there(self, row: JobRecord, stage: str, uri: str) -> bool:
        record = row.stages.get(stage)
        if record is None or record.started is None:
            return False
        changed, begun = self.artifacts.changed(uri), datetime.fromisoformat(record.started)
        if changed is None:
            return False
        # S3 tells whole seconds: what is of the very second in which the stage began may be either run's. A
        # finished run's results are taken for its own, for a new run can follow it in no time; parts never
        # come so soon.
        return changed >= begun if row.earlier_results else not is_older(changed, begun)
