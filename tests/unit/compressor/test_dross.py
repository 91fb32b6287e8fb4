"""What of a model shows in no picture: broken, invisible and doubled Gaussians."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_compressor.cleaning.broken import broken, without_broken
from spaceport_compressor.cleaning.clean import Rules, clean
from spaceport_compressor.cleaning.duplicates import merge_duplicates
from spaceport_compressor.cleaning.invisible import invisible
from spaceport_compressor.origin import check_near_origin
from spaceport_compressor.sog.write import check_writable
from spaceport_render.camera import Camera
from spaceport_render.metrics import psnr
from spaceport_render.render import render

EVERYTHING_OFF = Rules(remove_invisible=False, merge_duplicates=False, remove_floaters=False, crop=False)


@pytest.fixture
def camera():
    """60 m up, looking down."""
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (0.0, 0.0, 60.0)
    return Camera("photo", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def changed(gaussians, attribute, rows, value):
    values = getattr(gaussians, attribute).copy()
    values[rows] = value
    return replace(gaussians, **{attribute: values})


class TestBroken:
    @pytest.mark.parametrize(
        ("attribute", "value"),
        [
            ("means", np.nan),
            ("means", np.inf),
            ("means", 3e38),
            ("means", 1e6),
            ("quats", 0.0),
            ("quats", np.nan),
            ("log_scales", 90.0),
            ("log_scales", np.inf),
            ("opacity_logits", np.nan),
            ("sh", np.nan),
            ("sh", -np.inf),
            ("sh", -1e20),
        ],
    )
    def test_exactly_those_with_impossible_numbers_are(self, make_gaussians, attribute, value):
        model = changed(make_gaussians(300), attribute, [7, 40], value)
        assert np.flatnonzero(broken(model)).tolist() == [7, 40]

    def test_one_bad_number_of_many_is_enough(self, make_gaussians):
        model = make_gaussians(300)
        model.sh[5, 9, 1] = np.nan
        assert np.flatnonzero(broken(model)).tolist() == [5]

    def test_a_sky_far_behind_the_ground_is_not(self, make_gaussians):
        # Given a survey 120 m across, and a few Gaussians of a horizon 10 km away
        model = changed(make_gaussians(300), "means", [3, 4], (7000, 7000, 300))
        assert not broken(model).any()

    def test_they_are_left_out(self, make_gaussians):
        model = changed(changed(make_gaussians(300), "means", [7, 8], np.nan), "quats", [9], 0)
        left = without_broken(model, "model.ply")
        assert len(left) == 297
        check_writable(left)

    def test_what_is_exactly_opaque_or_flat_is_kept(self, make_gaussians):
        # Given logarithms that are infinite, as converters write opacities of 255 and 0, and flat Gaussians
        model = changed(make_gaussians(300), "opacity_logits", [4], np.inf)
        model = changed(model, "opacity_logits", [5], -np.inf)
        model.log_scales[:, 2] = -np.inf
        # When what is broken is left out, Then all stay, with numbers that can be written
        left = without_broken(model, "model.ply")
        assert len(left) == 300
        assert left.opacities[4] == 1
        assert np.flatnonzero(invisible(left))[0] == 5
        check_writable(left)

    def test_a_model_that_is_mostly_broken_is_refused(self, make_gaussians):
        model = changed(make_gaussians(300), "means", slice(0, 200), np.nan)
        with pytest.raises(UserError, match=r"model\.ply.*200 of its 300") as refused:
            without_broken(model, "model.ply")
        assert refused.value.code == "broken_model"
        assert refused.value.hint

    def test_a_model_in_one_place_is_not(self, make_gaussians):
        assert not broken(changed(make_gaussians(20), "means", slice(None), 5.0)).any()

    def test_the_third_is_not_where_two_share_a_place(self, make_gaussians):
        assert not broken(make_gaussians(3).select(np.array([0, 0, 1]))).any()


class TestFarFromZero:
    def test_a_model_in_utm_coordinates_is_refused_with_what_to_subtract(self, make_gaussians):
        model = make_gaussians(2000)
        utm = replace(model, means=model.means + np.float32([500_030, 4_500_000, 110]))
        with pytest.raises(UserError, match="steps of 4") as refused:
            check_near_origin(utm, "model.ply")
        assert refused.value.code == "far_from_origin"
        assert "(500,000, 4,500,000, 100)" in refused.value.hint

    @pytest.mark.parametrize("offset", [0, 200, 20_000])
    def test_one_that_viewers_can_still_place_is_not(self, make_gaussians, offset):
        model = make_gaussians(2000)
        check_near_origin(replace(model, means=model.means + np.float32(offset)), "model.ply")

    def test_one_that_is_as_large_as_it_is_far_off_is_not(self, make_gaussians):
        # Given 100 km of pipeline from its zero on, made of small pieces: no other zero would do
        model = make_gaussians(2000)
        along = replace(model, means=np.abs(model.means) * np.float32([1000, 1, 1]))
        check_near_origin(along, "model.ply")


class TestInvisible:
    def test_exactly_those_fainter_than_the_cut_are(self, make_gaussians):
        opacities = np.array([0.0001, 0.0039, 0.00393, 0.5])
        model = changed(make_gaussians(4), "opacity_logits", slice(None), np.log(opacities / (1 - opacities)))
        assert invisible(model).tolist() == [True, True, False, False]

    def test_no_picture_changes(self, make_gaussians, camera):
        model = changed(make_gaussians(2000), "opacity_logits", slice(0, 800), -5.6)
        left = model.select(~invisible(model))
        assert len(left) <= 1200
        assert np.array_equal(render(left, camera), render(model, camera))


class TestDuplicates:
    def test_the_first_of_each_set_stays(self, make_gaussians):
        # Given a model with Gaussian 3 thrice, and 5 twice
        model = make_gaussians(50).select(np.array([*range(50), 3, 5, 3]))
        # When duplicates are merged, Then those that came later are spare, and nothing else has changed
        merged = merge_duplicates(model)
        assert np.flatnonzero(merged.spare).tolist() == [50, 51, 52]
        others = np.setdiff1d(np.arange(50), [3, 5])
        assert np.array_equal(merged.gaussians.opacity_logits[others], model.opacity_logits[others])
        assert np.array_equal(merged.gaussians.log_scales[others], model.log_scales[others])

    def test_the_merged_one_is_no_larger_than_a_file_can_hold(self, make_gaussians):
        # Given the same Gaussian twice, as large as can be
        model = changed(make_gaussians(50).select(np.array([*range(50), 3])), "log_scales", [3, 50], 44.0)
        # When they are merged, Then the one that is broader than either can be written
        merged = merge_duplicates(model)
        check_writable(merged.gaussians.select(~merged.spare))

    def test_two_in_one_place_that_differ_are_none(self, make_gaussians):
        model = make_gaussians(50).select(np.array([*range(50), 3]))
        model.sh[50, 0, 0] += 0.1
        assert not merge_duplicates(model).spare.any()

    def test_the_merged_one_looks_as_all_did(self, make_gaussians, camera):
        # Given a model in which every Gaussian is there twice
        model = make_gaussians(1000)
        twice = model.select(np.repeat(np.arange(1000), 2))
        # When it is merged, Then it is much nearer to what it was than the model without the second ones
        merged = merge_duplicates(twice)
        left = merged.gaussians.select(~merged.spare)
        assert len(left) == 1000
        before = render(twice, camera)
        assert psnr(render(left, camera), before) > psnr(render(model, camera), before) + 6


class TestAllTogether:
    def test_each_is_counted_by_the_rule_that_took_it(self, make_gaussians):
        # Given a model with two invisible Gaussians, and one that is there twice
        model = make_gaussians(300).select(np.array([*range(300), 60]))
        model = changed(model, "opacity_logits", [10, 11], -9.0)
        # When it is cleaned
        cleaned = clean(model, None, Rules())
        # Then the counts are those, and add up
        removed = cleaned.removed
        assert (removed.invisible, removed.duplicates) == (2, 1)
        assert removed.total == 3
        assert len(cleaned.gaussians) == 301 - 3

    def test_with_every_rule_off_nothing_changes(self, make_gaussians):
        model = changed(make_gaussians(300).select(np.array([*range(300), 60])), "opacity_logits", [1], -9.0)
        cleaned = clean(model, None, EVERYTHING_OFF)
        assert cleaned.gaussians is model
        assert cleaned.removed.total == 0

    def test_a_clean_model_stays_as_it_is(self, make_gaussians):
        model = changed(make_gaussians(300), "opacity_logits", slice(None), 1.0)
        cleaned = clean(without_broken(model, "model.ply"), None, Rules())
        assert cleaned.removed.total == 0
        for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
            assert np.array_equal(getattr(cleaned.gaussians, name), getattr(model, name))

    def test_a_model_with_nothing_to_see_is_refused(self, make_gaussians):
        with pytest.raises(UserError) as refused:
            clean(changed(make_gaussians(300), "opacity_logits", slice(None), -9.0), None, Rules())
        assert refused.value.code == "empty_model"
