"""An alarm on metric math is kept, described and set like any other; MiniStack refuses its template.

It is told as an alarm on the first of its metrics, and by itself it never goes off: what it adds up are
metrics of AWS's own services, which the engine does not measure.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("services.cloudformation.provisioners:_cw_metric_alarm_record", "4565fcede1eb"),)


def install() -> None:
    record = provisioners._cw_metric_alarm_record

    def record_math(name: str, properties: dict[str, Any]) -> Any:
        parts = (part.get("MetricStat") for part in properties.get("Metrics", ()))
        first = next((part for part in parts if part), None)
        if first is None:
            return record(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        period, statistic = first["Period"], first["Stat"]
        return record(name, {**plain, **first["Metric"], "Period": period, "Statistic": statistic})

    provisioners._cw_metric_alarm_record = record_math
