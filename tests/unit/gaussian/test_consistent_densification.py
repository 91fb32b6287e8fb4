"""Densification by what several photos agree on."""

from __future__ import annotations

import dataclasses

import pytest
from overhead import above, balls, photo_of, pixel, situation_of

from spaceport_gaussian.policies.consistent_densification import ConsistentDensification

GRID = [[x, y, 0.0] for x in range(-6, 7, 2) for y in range(-4, 5, 2)]
VIEWS = [above(0, 0), above(1, 0), above(0, 1), above(-1, 0)]
POLICY = ConsistentDensification(max_gaussians=200)


def painted_black(photo, x, y):
    """`photo` with the metre around the ground's (x, y) black, as if something else stood there."""
    row, column = pixel(photo, x, y)
    pixels = photo.pixels.clone()
    pixels[row - 3 : row + 4, column - 3 : column + 4] = 0
    return dataclasses.replace(photo, pixels=pixels)


@pytest.fixture
def splat():
    return balls(GRID, radius=0.4)


def test_only_what_is_wrong_in_several_photos_is_cut(splat):
    # Given photos that all show something else at one place, and one that does at another
    everywhere, once = GRID.index([2, 2, 0.0]), GRID.index([-4, -2, 0.0])
    photos = [painted_black(photo_of(splat, view), 2, 2) for view in VIEWS]
    photos[1] = painted_black(photos[1], -4, -2)

    # When the photos vote, and there is room for far more
    votes = POLICY.votes(splat, photos, sh_degree=1)
    edit = POLICY.edit(situation_of(splat, photos))

    # Then each photo has a vote, and only what all of them complain of is cut
    assert votes.wrong[everywhere] == len(VIEWS)
    assert votes.wrong[once] == 1
    assert sorted(set(range(len(splat))) - set(edit.survivors.tolist())) == [everywhere]
    assert len(edit.born["means"]) == 2


def test_one_vote_is_enough_where_one_photo_is_to_agree(splat):
    once = GRID.index([-4, -2, 0.0])
    photos = [photo_of(splat, view) for view in VIEWS]
    photos[1] = painted_black(photos[1], -4, -2)

    edit = dataclasses.replace(POLICY, agreeing=1).edit(situation_of(splat, photos))

    assert once not in edit.survivors.tolist()


def test_the_count_stays_within_the_line_to_the_budget(splat):
    photos = [painted_black(photo_of(splat, view), 2, 2) for view in VIEWS]
    policy = dataclasses.replace(POLICY, max_gaussians=len(splat), high_error=0.0)

    edit = policy.edit(situation_of(splat, photos))

    assert len(edit.survivors) == len(splat)
    assert not len(edit.born["means"])


def test_what_several_photos_find_needless_goes_and_what_none_shows_stays():
    # Given Gaussians under opaque ones, and one beyond what the photos show
    hidden, unseen = [[0.0, 0.0, -3.0], [2.0, 2.0, -3.0]], [300.0, 0.0, 0.0]
    cover = [[x, y, z] for x in range(-8, 9) for y in range(-6, 7) for z in (0.0, 0.5, 1.0)]
    splat = balls([*hidden, unseen, *cover], [0.2, 0.2, 1.0, *[0.8] * len(cover)], 0.99)
    photos = [photo_of(splat, view) for view in VIEWS]

    edit = POLICY.edit(situation_of(splat, photos))

    gone = set(range(len(splat))) - set(edit.survivors.tolist())
    assert {0, 1} <= gone
    assert 2 not in gone


def test_one_photo_alone_takes_nothing_away():
    splat = balls([[0.0, 0.0, -3.0], *[[0.0, 0.0, z] for z in range(5)]], [0.2, *[3.0] * 5], 0.99)

    edit = POLICY.edit(situation_of(splat, [photo_of(splat, VIEWS[0])]))

    assert 0 in edit.survivors.tolist()


def test_it_asks_so_many_photos_and_others_each_time(splat):
    # Given ten photos, each wrong at a place of its own, and a policy that asks three
    places = [place for place in GRID if abs(place[0]) <= 4][:10]
    photos = [painted_black(photo_of(splat, VIEWS[0]), x, y) for x, y, _ in places]
    policy = dataclasses.replace(POLICY, photos=3, agreeing=1)
    told = situation_of(splat, photos)

    cut = [set(range(len(splat))) - set(policy.edit(told).survivors.tolist()) for _ in range(4)]

    assert all(len(indices) <= 3 for indices in cut)
    assert len(set().union(*cut)) > 3
