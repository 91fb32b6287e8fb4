"""What is told of a scene before it is trained, and which scenes are refused."""

import pytest

from spaceport.errors import UserError
from spaceport.quality import Advice, GeorefNumbers, Origin, Photos, SfmNumbers, SfmReport
from spaceport.scene_check import MIN_POINTS, check_scene


def scene(registered: int = 18, points: int = 6800, dense_seeds: int = 0, **fields) -> SfmReport:
    numbers = SfmNumbers(
        seconds=1, cpu_seconds=2, reprojection_px=0.4, points=points, mean_track=3, dense_seeds=dense_seeds
    )
    photos = Photos(given=20, refused=[], registered=registered)
    return SfmReport.model_validate({"photos": photos, "sfm": numbers, "georef": None, **fields})


def test_a_good_scene_is_told_in_numbers_and_its_advice_in_sentences():
    georef = GeorefNumbers(rms_horizontal_m=0.5, rms_vertical_m=1.5, origin=Origin(lat=50, lon=0, alt=9))
    advice = Advice(code="few_photos", message="The model is of few photos.", hint="Take more.")
    findings = check_scene(scene(georef=georef, advice=[advice]))
    assert findings.metrics == {
        "photos": 20, "registered": 18, "points": 6800, "reprojection_px": 0.4,
        "rms_horizontal_m": 0.5, "rms_vertical_m": 1.5,
    }  # fmt: skip
    assert findings.advice == ["The model is of few photos. Take more."]


def test_a_scene_without_a_place_tells_no_accuracy():
    assert not {"rms_horizontal_m", "rms_vertical_m"} & check_scene(scene()).metrics.keys()


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"registered": 1}, "too_few_photos"), ({"points": MIN_POINTS - 1}, "too_few_points")],
)
def test_what_training_would_refuse_is_refused_before(fields, code):
    with pytest.raises(UserError) as refused:
        check_scene(scene(**fields))
    assert refused.value.code == code


def test_points_by_stereo_count_where_sfm_found_few():
    assert check_scene(scene(points=10, dense_seeds=MIN_POINTS)).metrics["points"] == 10
