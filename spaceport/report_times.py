"""The one part of `report.html` that nobody knows before the job is over: how long everything took.

The compression stage writes the page with `PLACE` in it; PublishResult puts the times there. Pure, and
without a template engine, because it runs in a Lambda function too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spaceport.stages import COMPRESSION, SFM, TRAINING

REPORT_PAGE = "report.html"
MEDIA_TYPE = "text/html; charset=utf-8"

_BEGIN, _END = "<!-- times -->", "<!-- /times -->"
# What stands there until PublishResult has come, or for good where a stage was started by hand.
PLACE = f'{_BEGIN}<p class="absent">Not measured: the job had not ended when this page was written.</p>{_END}'
_FILLED = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)

_WORK = {SFM.name: "Camera poses", TRAINING.name: "Training", COMPRESSION.name: "Compression"}


def with_times(page: str, stages: Mapping[str, float], total_seconds: float) -> str:
    """`page` with the stages' wall seconds and the whole job's; filling in again replaces what is there.

    A page without the place for them (another version's) comes back as it is.
    """
    return _FILLED.sub(lambda _: _BEGIN + _table(stages, total_seconds) + _END, page, count=1)


def in_words(seconds: float) -> str:
    """Wall time as people say it: `7.4 s`, `48 s`, `12 min 40 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def _table(stages: Mapping[str, float], total_seconds: float) -> str:
    between = total_seconds - sum(stages.values())
    parts = [(words, stages[name]) for name, words in _WORK.items() if name in stages]
    if between >= 0:
        parts += [("Waiting, moving files", between)] if between > 0 else []
        whole = "Whole job"
    else:  # a retry counts from its own start, and has stages that the run before it did
        whole = "This run alone"
    rows = "".join(
        _row(words, seconds, seconds / max(total_seconds, seconds, 1e-9)) for words, seconds in parts
    )
    total = f'<tr class="total"><th scope="row">{whole}</th><td>{in_words(total_seconds)}</td><td></td></tr>'
    return f'<table class="times"><tbody>{rows}{total}</tbody></table>'


def _row(words: str, seconds: float, share: float) -> str:
    bar = (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="6"/></svg>'
    )
    return f'<tr><th scope="row">{words}</th><td>{in_words(seconds)}</td><td>{bar}</td></tr>'
