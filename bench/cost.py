"""What a month of jobs costs on AWS, beside the published table of AWS's own guidance.

`python bench/cost.py` prints the tables of docs/cost.md, `--write` puts them there. Machines are priced by
spaceport/prices.py, the times are those that spaceport/estimate.py expects, what else a stack uses is counted
from template.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spaceport.estimate import expected_seconds
from spaceport.prices import AS_OF, ON_DEMAND
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import Preset, TuningRequest, resolve
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "cost.md"
BEGIN, END = "<!-- bench/cost.py: begin -->\n", "<!-- bench/cost.py: end -->\n"

REGION, JOBS = "us-east-1", 100
# Assumed, and in no job's bill: EC2's price (0.68) times what SageMaker adds to c5's, 1.2.
ASSUMED = {"ml.c6i.4xlarge": 0.816}
PRICES = {**ASSUMED, **ON_DEMAND[REGION]}
CPU = "ml.c6i.4xlarge"
FLIGHTS = (
    (20, Preset.PREVIEW),
    (20, Preset.BALANCED),
    (60, Preset.BALANCED),
    (200, Preset.BALANCED),
    (200, Preset.QUALITY),
)
GPUS = ("ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g5.4xlarge")
EXAMPLE = (60, Preset.BALANCED)

# USD a month for 100 requests of an hour each, May 2025: README.md, "Cost Table", of
# aws-solutions-library-samples/guidance-for-open-source-3d-reconstruction-toolbox-for-gaussian-splats-on-aws.
GUIDANCE_MACHINE, GUIDANCE_TOTAL = 273.00, 278.33

# List prices of us-east-1, USD, first tier, no free one: of the services' own pages, as commonly told.
S3_GB_MONTH, S3_1000_WRITES = 0.023, 0.005
LAMBDA_CALL, LAMBDA_GB_S = 0.20e-6, 16.6667e-6
TRANSITION = 25e-6
TABLE_WRITE, TABLE_READ = 0.625e-6, 0.125e-6
SOCKET_MESSAGE, EVENT = 1e-6, 1e-6
LOG_GB, TRACE = 0.50, 5e-6
ALARM_METRIC, CUSTOM_METRIC, DASHBOARD = 0.10, 0.30, 3.00
SECRET, ECR_GB_MONTH, ML_GB_MONTH = 0.40, 0.10, 0.14

# What a job of 60 photos leaves and does. Progress comes once a second at most, and each line of it is a
# write and a message to each follower.
ZIP_GB, INTERMEDIATE_GB, RESULT_GB = 0.5, 1.0, 0.05
ZIP_DAYS, INTERMEDIATE_DAYS = 7, 14  # lifecycle, and TidyJobs
LINES, FUNCTIONS_A_LINE, FUNCTION_S, FUNCTION_GB = 600, 3, 0.1, 0.25
OBJECTS, LOGS_GB, FOLLOWERS = 500, 0.005, 2
IMAGES_GB = 10  # the three, compressed; the training image is most of it
CUSTOM_METRICS = 10  # spaceport/metering.py


def machines(photos: int, preset: Preset, gpu: str) -> dict[str, tuple[str, float]]:
    """(instance type, billed seconds) by the stage's name."""
    seconds = expected_seconds(photos, resolve(TuningRequest(preset=preset)), gpu)
    types = {SFM.name: CPU, TRAINING.name: gpu, COMPRESSION.name: CPU}
    return {name: (types[name], spent) for name, spent in seconds.items() if spent is not None}


def machine_cost(used: Mapping[str, tuple[str, float]]) -> float:
    """USD of a job's machines, their disks included."""
    states: dict[str, Any] = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())["States"]
    disks = sum(int(size) for size in re.findall(r'"VolumeSizeInGB": (\d+)', json.dumps(states))) / 3
    hours = sum(spent for _, spent in used.values()) / 3600
    return sum(PRICES[kind] * spent / 3600 for kind, spent in used.values()) + (
        disks * ML_GB_MONTH * hours / 730
    )


def services() -> dict[str, float]:
    """USD a month of all but machines, by service, for JOBS jobs."""
    template = read_template(ROOT / "template.yaml").document["Resources"]
    states = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())["States"]
    alarms = [one["Properties"] for one in template.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    watched = sum(sum("MetricStat" in each for each in one.get("Metrics", [])) or 1 for one in alarms)
    calls = LINES * FUNCTIONS_A_LINE
    kept = ZIP_GB * ZIP_DAYS / 30 + INTERMEDIATE_GB * INTERMEDIATE_DAYS / 30 + RESULT_GB
    return {
        "S3, storage and requests": JOBS * (kept * S3_GB_MONTH + OBJECTS / 1000 * S3_1000_WRITES),
        "Lambda": JOBS * calls * (LAMBDA_CALL + FUNCTION_S * FUNCTION_GB * LAMBDA_GB_S),
        "Step Functions": JOBS * len(states) * TRANSITION,  # each state at most once
        "DynamoDB": JOBS * LINES * 2 * (TABLE_WRITE + TABLE_READ),
        "WebSocket messages and events": JOBS * LINES * (FOLLOWERS * SOCKET_MESSAGE + 0.1 * EVENT),
        "Logs and traces": JOBS * (LOGS_GB * LOG_GB + calls * 0.05 * TRACE),
        f"CloudWatch: {len(alarms)} alarms of {watched} metrics, metrics, dashboard": (
            watched * ALARM_METRIC + CUSTOM_METRICS * CUSTOM_METRIC + DASHBOARD
        ),
        "ECR and Secrets Manager": IMAGES_GB * ECR_GB_MONTH + SECRET,
    }


def tables() -> Iterator[str]:
    """The lines of docs/cost.md that are worked out."""
    yield f"Prices of {AS_OF}, {REGION}, on demand; `{CPU}` at ${ASSUMED[CPU]} an hour is assumed.\n"
    yield "| photos, preset | machine of training | SfM s | training s | compression s | a job | 100 jobs |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for photos, preset in FLIGHTS:
        for gpu in GPUS[:2]:
            used = machines(photos, preset, gpu)
            times = " | ".join(f"{used[name][1]:.0f}" for name in (SFM.name, TRAINING.name, COMPRESSION.name))
            cost = machine_cost(used)
            yield f"| {photos}, `{preset}` | {gpu} | {times} | ${cost:.3f} | ${JOBS * cost:.2f} |"
    other, (photos, preset) = services(), EXAMPLE
    rest = sum(other.values())
    yield "\n| what else a stack uses, 100 jobs a month | USD |"
    yield "| --- | ---: |"
    yield from (f"| {name} | {cost:.2f} |" for name, cost in other.items())
    yield f"| all but machines | {rest:.2f} |"
    yield "\n| 100 jobs a month | machines | all else | total |"
    yield "| --- | ---: | ---: | ---: |"
    yield (
        f"| the guidance's table: an hour each on ml.g5.4xlarge | ${GUIDANCE_MACHINE:.2f} "
        f"| ${GUIDANCE_TOTAL - GUIDANCE_MACHINE:.2f} | **${GUIDANCE_TOTAL:.2f}** |"
    )
    hour = JOBS * PRICES["ml.g5.4xlarge"]
    yield f"| the same hour, by our table of prices | ${hour:.2f} | ${rest:.2f} | ${hour + rest:.2f} |"
    for gpu in GPUS:
        cost = JOBS * machine_cost(machines(photos, preset, gpu))
        name = f"{photos} photos, `{preset}`, training on {gpu}"
        yield f"| {name} | ${cost:.2f} | ${rest:.2f} | **${cost + rest:.2f}** |"


def with_tables(page: str) -> str:
    """The page with its tables worked out anew."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}" + "\n".join(tables()) + f"\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/cost.md")
    if parser.parse_args().write:
        DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
    else:
        print("\n".join(tables()))


if __name__ == "__main__":
    main()
