"""What a job is expected to cost: more for more work, nothing guessed."""

import pytest

from spaceport.estimate import START_S, estimate, expected_seconds
from spaceport.prices import ON_DEMAND
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import Preset, TuningRequest, resolve

GPU = "ml.g4dn.xlarge"


def tuning(preset: Preset):
    return resolve(TuningRequest(preset=preset))


def test_more_photos_and_a_better_preset_take_longer_and_a_faster_gpu_less():
    few, many = (expected_seconds(photos, tuning(Preset.BALANCED), GPU) for photos in (20, 200))
    assert few[SFM.name] < many[SFM.name]
    times = [expected_seconds(20, tuning(preset), GPU)[TRAINING.name] for preset in Preset]
    assert times == sorted(times)
    faster = expected_seconds(20, tuning(Preset.BALANCED), "ml.g5.xlarge")
    assert START_S < faster[TRAINING.name] < few[TRAINING.name]


@pytest.mark.parametrize("instance", ["ml.p5.48xlarge", "ml.c6i.4xlarge", ""])
def test_a_machine_that_nothing_is_known_of_has_no_time_and_no_price(instance):
    instances = {SFM.name: GPU, TRAINING.name: instance, COMPRESSION.name: GPU}
    bill = estimate(20, tuning(Preset.BALANCED), instances, "us-east-1")
    assert bill.stages[TRAINING.name] is None
    assert bill.unknown == [instance]
    assert bill.known > 0


def test_the_bill_is_seconds_by_the_table_of_prices():
    instances = dict.fromkeys((SFM.name, TRAINING.name, COMPRESSION.name), GPU)
    seconds = expected_seconds(20, tuning(Preset.PREVIEW), GPU)
    bill = estimate(20, tuning(Preset.PREVIEW), instances, "us-east-1")
    assert bill.known == pytest.approx(sum(seconds.values()) / 3600 * ON_DEMAND["us-east-1"][GPU])
    assert estimate(20, tuning(Preset.PREVIEW), instances, "mars-1").known == 0
