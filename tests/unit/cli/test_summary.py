"""What the command says of a finished job beyond the usual: warnings, ground control, advice."""

from pathlib import Path

import pytest

from spaceport.quality import Advice, ControlNumbers, PhotoWarning
from spaceport.stages import Status
from spaceport_cli.job_status import JobStatus
from spaceport_cli.results import Results
from spaceport_cli.summary import summary


@pytest.fixture
def summed(told):
    """`summed(quality)`: the summary of a job with that report."""
    return lambda quality: summary(
        JobStatus.model_validate(told(9, Status.COMPLETED)), Results(Path("out"), (), quality)
    )


def test_advice_comes_last_with_what_to_do(summed, quality):
    advice = [Advice(code="nadir_only", message="All photos look straight down.", hint="Add oblique ones.")]
    text = summed(quality.model_copy(update={"advice": advice}))
    assert text.splitlines()[-1] == "  advice    All photos look straight down. Add oblique ones."


def test_photos_that_were_used_with_a_warning_are_named(summed, quality):
    warned = [PhotoWarning(name=f"{n}.jpg", code="blurred", reason="is blurred") for n in range(12)]
    photos = quality.photos.model_copy(update={"warned": warned})
    text = summed(quality.model_copy(update={"photos": photos}))
    assert "  warned    9.jpg: is blurred\n  warned    and 2 more, see quality.json" in text


@pytest.mark.parametrize("checked", [True, False])
def test_ground_control_replaces_gps_as_what_the_place_rests_on(summed, quality, checked):
    off = {"check": ["5"], "check_rms_horizontal_m": 0.05, "check_rms_vertical_m": 0.08}
    control = ControlNumbers(
        used=["1", "2", "3"], rms_horizontal_m=0.01, rms_vertical_m=0.02, **(off if checked else {})
    )
    georef = quality.georef.model_copy(update={"source": "ground_control", "control": control})
    text = summed(quality.model_copy(update={"georef": georef}))
    assert "0.01 m horizontal, 0.02 m vertical (RMS against ground control)" in text
    assert (", 0.05 m and 0.08 m against 1 check point," in text) == checked


@pytest.mark.parametrize(
    ("lost", "words"), [(0.03, "0.03 dB of PSNR lost"), (-0.012, "nothing lost"), (0.001, "nothing lost")]
)
def test_what_packing_gained_is_not_called_lost(summed, quality, lost, words):
    delivery = quality.delivery.model_copy(update={"psnr_loss_db": lost})
    assert f" dB; {words} against the photos" in summed(quality.model_copy(update={"delivery": delivery}))
