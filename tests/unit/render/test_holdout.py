import pytest

from spaceport.errors import UserError
from spaceport_render.holdout import split


def names(count: int) -> list[str]:
    return [f"{i:03}.jpg" for i in range(count)]


def test_every_eighth_from_the_fifth_is_held_out_from_24_photos_on():
    train, held = split(names(24), None)
    assert held == ["004.jpg", "012.jpg", "020.jpg"]
    assert sorted(train + held) == names(24)


def test_small_sets_train_on_all_photos():
    assert split(names(23), None) == (names(23), [])


def test_zero_holds_out_none_and_the_order_given_does_not_matter():
    assert split(names(40)[::-1], 0) == (names(40), [])
    assert split(names(18)[::-1], 8) == split(names(18), 8)
    assert split(names(18), 8)[1] == ["004.jpg", "012.jpg"]


def test_fewer_photos_than_the_first_held_out_index_hold_out_none():
    assert split(names(3), 8) == (names(3), [])


def test_holding_out_everything_is_refused():
    with pytest.raises(UserError, match="none to train on"):
        split(names(5), 1)
