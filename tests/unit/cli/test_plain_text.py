"""Foreign names can't steer a terminal."""

import pytest

from spaceport_cli.plain_text import printable


@pytest.mark.parametrize("code", ["\x1b", "\r", "\x9b", "\u202e", "\u2066", "\u2028", "\x00"])
def test_what_steers_a_terminal_is_shown_as_a_replacement(code):
    assert printable(f"a{code}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_names_of_any_script_stay_as_they_are():
    for name in ("Playa Ñ", "海岸線", "שדה", "👩\u200d🌾"):
        assert printable(name) == name
