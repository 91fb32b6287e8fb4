"""CloudWatch Logs' filter patterns."""

from __future__ import annotations

import json

import pytest

from spaceport_local.filter_patterns import PatternError, compile_pattern

LINE = json.dumps(
    {
        "spaceport": 1,
        "stage": "sfm",
        "progress": 0.5,
        "done": False,
        "error": None,
        "digits": "1",
        "list": [{"name": "first"}, 7],
        "metrics": {"psnr": 24.1},
    }
)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "{ $.spaceport = 1 }",
        "{$.spaceport=1}",
        "{ $.spaceport = 1.0 }",
        '{ $.stage = "sfm" }',
        "{ $.stage = s* }",
        "{ $.stage = %^s.m$% }",
        '{ $.stage != "3dgs" }',
        '{ $.digits = "1" }',
        "{ $.progress > 0.4 && $.progress <= 0.5 }",
        "{ $.metrics.psnr >= 24 }",
        '{ $.list[0].name = "first" }',
        "{ $.list[1] = 7 }",
        "{ $['stage'] = sfm }",
        "{ $.error IS NULL }",
        "{ $.done IS FALSE }",
        "{ $.nothing NOT EXISTS }",
        "{ ($.spaceport = 2 || $.spaceport = 1) && $.stage = sfm }",
        "{ $.spaceport = 2 && $.stage = sfm || $.progress = 0.5 }",
        "sfm",
        "sfm progress -missing",
        "?missing ?sfm",
        '"0.5, " -missing',
        "%psnr.{3}24%",
    ],
)
def test_pattern_that_matches(pattern: str) -> None:
    assert compile_pattern(pattern)(LINE)


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.spaceport = 2 }",
        "{ $.digits = 1 }",  # a number does not equal a string of its digits
        "{ $.spaceport = true }",
        "{ $.done = 0 }",
        "{ $.nothing = 1 }",
        "{ $.nothing != 1 }",  # what is not there is not unequal
        "{ $.metrics = * }",
        '{ $.stage = "s?m" }',  # * is the only wildcard
        "{ $.stage > 1 }",
        "{ $.error NOT EXISTS }",
        "missing",
        "sfm missing",
        "sfm -progress",
        "?missing ?other",
    ],
)
def test_pattern_that_does_not_match(pattern: str) -> None:
    assert not compile_pattern(pattern)(LINE)


@pytest.mark.parametrize("message", ["plain", "", "{", "1", '"text"', "[]", '{"other": 1}', "null"])
def test_message_that_is_no_object_matches_no_json_pattern(message: str) -> None:
    assert not compile_pattern("{ $.spaceport = 1 }")(message)


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a = 1",
        "{ a = 1 }",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a == 1 }",
        "{ $.a = 1 && }",
        "{ ($.a = 1 }",
        "{ $.a = 1 $.b = 2 }",
        "{ $.a > x }",
        "{ $.a IS MAYBE }",
        "{ $.a = %(% }",
        "{}",
        "[a, b]",
    ],
)
def test_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)
