"""The times in report.html: put where the page has room for them, by a function without a template engine."""

import pytest

from spaceport.prices import AS_OF, Bill, free
from spaceport.report_times import PLACE, in_words, with_times

PAGE = f"<h2>Time</h2>{PLACE}<p>after</p>"
STAGES = {"sfm": 37.2, "3dgs": 38.0, "compression": 4.1}
FREE = free(STAGES)


def test_the_times_take_the_place_that_waits_for_them():
    page = with_times(PAGE, STAGES, 82.4, FREE)
    assert page.startswith("<h2>Time</h2>")
    assert page.endswith("<p>after</p>")
    for told in ("Camera poses", "37 s", "Training", "38 s", "Compression", "4.1 s", "3.1 s", "1 min 22 s"):
        assert told in page
    assert "Not measured" not in page


def test_filling_in_twice_is_filling_in_once():
    once = with_times(PAGE, STAGES, 82.4, FREE)
    assert with_times(with_times(PAGE, {"sfm": 1.0}, 1.0, FREE), STAGES, 82.4, FREE) == once


def test_a_page_without_the_place_stays_as_it_is():
    assert with_times("<html>\\1 older</html>", STAGES, 82.4, FREE) == "<html>\\1 older</html>"


def test_a_retry_does_not_pass_its_own_time_off_as_the_whole_jobs():
    # Given stages of an earlier run, longer than the retry took
    page = with_times(PAGE, STAGES, 9.0, FREE)
    assert "This run alone" in page
    assert "Whole job" not in page
    assert "Waiting" not in page


def test_what_ran_on_ones_own_machine_cost_nothing():
    page = with_times(PAGE, STAGES, 82.4, FREE)
    assert "Cost so far: nothing. It ran on your own machine." in page
    assert "$" not in page


def test_what_each_stage_cost_is_told_with_the_day_of_the_prices():
    bill = Bill({"sfm": 0.002, "3dgs": 1.239, "compression": 0.0311}, {})
    page = with_times(PAGE, STAGES, 82.4, bill)
    for told in ("under $0.01", "$1.24", "$0.03", "<td>$1.27</td>", AS_OF):
        assert told in page
    assert "not known" not in page


def test_a_price_that_is_not_known_is_said_and_not_left_out_of_the_sum():
    # Given a machine of a type with a name that nobody should have
    bill = Bill({"sfm": None, "3dgs": 1.239, "compression": None}, {"sfm": "ml.<b>", "compression": "ml.<b>"})
    page = with_times(PAGE, STAGES, 82.4, bill)
    assert page.count("price not known") == 2
    assert "$1.24 and more" in page
    assert "The price of ml.&lt;b&gt; is not known here" in page


@pytest.mark.parametrize(
    ("earlier", "told"),
    [
        ({"3dgs": 1.5, "sfm": 0.25}, "cost $1.75 on top"),
        ({"3dgs": 1.5, "sfm": None}, "$1.50 and more on top"),
    ],
)
def test_what_earlier_runs_cost_is_not_forgotten(earlier, told):
    assert told in with_times(PAGE, STAGES, 82.4, Bill({"3dgs": 1.0}, {}, earlier=earlier))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "1 min 00 s"), (82.4, "1 min 22 s"), (3720, "1 h 02 min")],
)
def test_times_are_told_as_people_say_them(seconds, told):
    assert in_words(seconds) == told
