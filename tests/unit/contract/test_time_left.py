"""The time left, as people read it."""

import pytest

from spaceport.time_left import about_left


@pytest.mark.parametrize(
    ("seconds", "read"),
    [
        (0, ""),  # unknown, or over
        (2, "about 5 s left"),
        (41, "about 45 s left"),
        (60, "about 60 s left"),
        (61, "about 70 s left"),
        (120, "about 120 s left"),
        (121, "about 3 min left"),
        (3601, "about 61 min left"),
    ],
)
def test_an_estimate_is_read_as_exactly_as_it_is_known(seconds, read):
    assert about_left(seconds) == read
