"""bench/sfm.py judges by the issue's limits, and only what it measured."""

import pytest
from pose_errors import PoseErrors
from sfm import Accuracy, Run, limits, tables

from spaceport.quality import PhaseNumbers, Photos, SfmNumbers, SfmReport


def run(name, seconds=10.0, cpu=20.0, points=7000, accuracy=None, phases=()):
    report = SfmReport(
        photos=Photos(given=18, refused=[], registered=18),
        sfm=SfmNumbers(
            seconds=seconds, cpu_seconds=cpu, reprojection_px=0.33, points=points, mean_track=4.0,
            phases=[PhaseNumbers(name=phase, seconds=1.5, cpu_seconds=2.5) for phase in phases],
        ),
        georef=None,
    )  # fmt: skip
    return Run(name, seconds, cpu, report, accuracy)


def exact(shape=0.01, rotation=0.02, absolute=0.5, limit=1.7):
    return Accuracy(PoseErrors(shape, rotation, 2 * rotation, 1.0, 0.001, absolute), 0.0001, limit)


def failed(runs, cores=2):
    return [limit.what for limit in limits(runs, cores) if not limit.met]


def test_a_good_run_meets_every_limit():
    assert (
        failed([run("brighton"), run("20", accuracy=exact()), run("200", cpu=200.0, accuracy=exact())]) == []
    )


@pytest.mark.parametrize(
    ("runs", "cores", "what"),
    [
        ([run("brighton", points=6000)], 2, "brighton, points"),
        ([run("brighton", seconds=41.0)], 2, "brighton, seconds on 2 cores"),
        ([run("brighton", seconds=16.0)], 16, "brighton, seconds on 16 cores"),
        ([run("20"), run("200", cpu=250.0)], 2, "CPU-seconds of 200 photos over those of 20"),
        ([run("60", accuracy=exact(shape=0.2))], 2, "60 photos, shape m"),
        ([run("60", accuracy=exact(rotation=0.4))], 2, "60 photos, rotation °"),
        ([run("60", accuracy=exact(absolute=1.8))], 2, "60 photos, absolute m"),
    ],
)
def test_each_limit_is_told_when_it_is_missed(runs, cores, what):
    assert failed(runs, cores) == [what]


def test_flights_with_other_phases_stand_side_by_side():
    table = tables([run("brighton", phases=["features"]), run("20", phases=["features", "seeds"])])
    assert "| features | 1.5 / 2.5 | 1.5 / 2.5 |" in table
    assert "| seeds |  | 1.5 / 2.5 |" in table
