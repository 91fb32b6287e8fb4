"""Which of several values of a setting wins, and how settings travel to the job programs."""

from __future__ import annotations

import pytest

from spaceport.errors import UserError
from spaceport.formats import Format
from spaceport.tuning import PRESETS, Preset, Tuning, TuningRequest, parse_request, resolve


def test_an_explicit_field_beats_the_preset_beats_the_template():
    # Given a template value that the preset sets too, one it does not set, and an explicit field
    template = {"max_iterations": 7, "target_psnr": 27.0}
    request = TuningRequest(preset=Preset.PREVIEW, train_max_size=333)
    # When they are resolved
    tuning = resolve(request, template)
    # Then each comes from the strongest source that has it
    assert tuning.train_max_size == 333
    assert tuning.max_iterations == PRESETS[Preset.PREVIEW]["max_iterations"]
    assert tuning.target_psnr == 27.0


def test_no_preset_means_balanced():
    assert resolve(TuningRequest()).preset is Preset.BALANCED


def test_vanilla_is_the_plain_recipe_and_only_a_field_can_change_that():
    assert not resolve(
        TuningRequest(preset=Preset.VANILLA), {"optimization_enabled": True}
    ).optimization_enabled
    assert resolve(TuningRequest(preset=Preset.VANILLA, optimization_enabled=True)).optimization_enabled


@pytest.mark.parametrize("holdout", [None, 0, 8])
def test_travels_as_strings_and_as_environment_and_comes_back_equal(holdout: int | None):
    tuning = resolve(TuningRequest(preset=Preset.QUALITY, holdout=holdout, optimization_enabled=False))
    assert Tuning.from_strings(tuning.to_strings()) == tuning
    assert Tuning.from_environment({**tuning.to_environment(), "PATH": "/bin"}) == tuning


def test_values_fit_a_processing_jobs_environment():
    # SageMaker: names of letters, digits and underscores; values up to 256 characters
    for name, value in Tuning().to_environment().items():
        assert name.replace("_", "").isalnum()
        assert len(value) <= 256


def test_a_misspelt_setting_is_refused_by_name():
    with pytest.raises(UserError) as caught:
        parse_request({"max_iteration": 5})
    assert "max_iteration" in caught.value.message
    assert caught.value.hint.startswith("Did you mean max_iterations? Settings are: ")


@pytest.mark.parametrize(("said", "meant"), [("Max-Iterations", "max_iterations"), ("hold_out", "holdout")])
def test_a_setting_written_otherwise_is_proposed(said: str, meant: str):
    with pytest.raises(UserError) as caught:
        parse_request({said: 5})
    assert caught.value.hint.startswith(f"Did you mean {meant}?")


def test_nothing_is_proposed_for_what_is_like_no_setting():
    with pytest.raises(UserError) as caught:
        parse_request({"zzzz": 5})
    assert caught.value.hint.startswith("Settings are: ")


def test_a_holdout_that_leaves_nothing_is_refused_before_any_work():
    with pytest.raises(UserError, match="no photo to train on"):
        parse_request({"holdout": "1"})


def test_a_value_out_of_range_is_refused_by_name():
    with pytest.raises(UserError) as caught:
        parse_request({"sh_degree": "7"})
    assert "sh_degree" in caught.value.message


@pytest.mark.parametrize(
    ("given", "formats"),
    [
        ("spz", (Format.SPZ,)),
        ("tiles, ply", (Format.TILES, Format.PLY)),
        (["gltf"], (Format.GLTF,)),
        ("none", ()),
        ([], ()),
    ],
)
def test_formats_are_named_with_commas_and_travel_so(given, formats):
    tuning = resolve(parse_request({"formats": given}))
    assert tuning.formats == formats
    assert Tuning.from_environment(tuning.to_environment()) == tuning


@pytest.mark.parametrize("given", ["spz,obj", "", "none,spz"])
def test_a_format_that_nobody_knows_is_refused_with_those_that_are(given):
    with pytest.raises(UserError, match=r"'formats'.*ply, spz, gltf, tiles.*none"):
        parse_request({"formats": given})
