"""The one part of `report.html` that nobody knows before the job is over: how long all took, and its cost.

The compression stage writes the page with `PLACE` in it; PublishResult puts the times there. Pure, and
without a template engine, because it runs in a Lambda function too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from spaceport.prices import AS_OF, Bill, dollars
from spaceport.stages import COMPRESSION, SFM, TRAINING

REPORT_PAGE = "report.html"
MEDIA_TYPE = "text/html; charset=utf-8"

_BEGIN, _END = "<!-- times -->", "<!-- /times -->"
# What stands there until PublishResult has come, or for good where a stage was started by hand.
PLACE = f'{_BEGIN}<p class="absent">Not measured: the job had not ended when this page was written.</p>{_END}'
_FILLED = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)

_WORK = {SFM.name: "Camera poses", TRAINING.name: "Training", COMPRESSION.name: "Compression"}


def with_times(page: str, stages: Mapping[str, float], total_seconds: float, bill: Bill) -> str:
    """`page` with the stages' wall seconds, the whole job's, and what they cost.

    Filling in again replaces what is there. A page without the place for it (another version's) comes back
    as it is.
    """
    told = _table(stages, total_seconds, bill) + f'<p class="note">{_cost_words(bill)}</p>'
    return _FILLED.sub(lambda _: _BEGIN + told + _END, page, count=1)


def in_words(seconds: float) -> str:
    """Wall time as people say it: `7.4 s`, `48 s`, `12 min 40 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def _table(stages: Mapping[str, float], total_seconds: float, bill: Bill) -> str:
    between = total_seconds - sum(stages.values())
    parts = [
        (words, stages[name], dollars(bill.stages.get(name)))
        for name, words in _WORK.items()
        if name in stages
    ]
    if between >= 0:
        parts += [("Waiting, moving files", between, "")] if between > 0 else []
        whole = "Whole job"
    else:  # a retry counts from its own start, and has stages that the run before it did
        whole = "This run alone"
    if bill.own_machine:
        parts = [(words, seconds, "") for words, seconds, _ in parts]
    rows = "".join(
        _row(words, seconds, seconds / max(total_seconds, seconds, 1e-9), cost)
        for words, seconds, cost in parts
    )
    total = (
        f'<tr class="total"><th scope="row">{whole}</th><td>{in_words(total_seconds)}</td><td></td>'
        f"<td>{'' if bill.own_machine else _total(bill)}</td></tr>"
    )
    return f'<table class="times"><tbody>{rows}{total}</tbody></table>'


def _row(words: str, seconds: float, share: float, cost: str) -> str:
    bar = (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="6"/></svg>'
    )
    return f'<tr><th scope="row">{words}</th><td>{in_words(seconds)}</td><td>{bar}</td><td>{cost}</td></tr>'


def _cost_words(bill: Bill) -> str:
    if bill.own_machine:
        return "Cost so far: nothing. It ran on your own machine."
    told = f"Cost so far: by SageMaker’s list prices of {AS_OF}, on demand, without storage and transfer."
    if bill.earlier:
        known = sum(cost for cost in bill.earlier.values() if cost is not None)
        more = " and more" if None in bill.earlier.values() else ""
        told += f" Earlier runs of the same stages cost {dollars(known)}{more} on top."
    if not bill.unknown:
        return told
    types = escape(" and ".join(bill.unknown))
    return f"{told} The price of {types} is not known here; what it costs comes on top."


def _total(bill: Bill) -> str:
    if not bill.unknown:
        return dollars(bill.known)
    return f"{dollars(bill.known)} and more" if bill.known else dollars(None)
