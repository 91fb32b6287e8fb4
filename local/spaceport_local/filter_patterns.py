"""CloudWatch Logs' filter patterns: which log events a subscription or FilterLogEvents gets.

Source: "Filter pattern syntax for metric filters, subscription filters, and filter log events",
CloudWatch Logs user guide. Here: JSON patterns (`{ $.spaceport = 1 && $.stage = "sfm" }`), terms
(`error -debug ?a ?b "two words"`) and regular expressions (`%ab+%`). Space-delimited patterns (`[a, b]`)
are not here and are refused.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Matcher = Callable[[str], bool]
_Rule = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<operator>&&|\|\||[(){}]|!=|<=|>=|=|<|>)
    | (?P<selector>\$(?:\.[\w@:/-]+|\[[^\]]+\])*)
    | "(?P<text>(?:[^"\\]|\\.)*)"
    | %(?P<regex>(?:[^%\\]|\\.)*)%
    | (?P<word>[^\s(){}=<>!&|"]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"\.([\w@:/-]+)|\[([^\]]+)\]")
_TERM = re.compile(
    r'(?P<sign>[-?]?)(?:"(?P<text>(?:[^"\\]|\\.)*)"|%(?P<regex>(?:[^%\\]|\\.)*)%|(?P<word>\S+))'
)
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}
_LITERALS = {"NULL": None, "TRUE": True, "FALSE": False}
_NOTHING = object()


class PatternError(ValueError):
    """A pattern that CloudWatch Logs would refuse, or a form that is not implemented here."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Matcher:
    """The test of a message that `pattern` stands for; an empty pattern matches everything.

    Raises:
        PatternError: the pattern is not one, or is space-delimited.
    """
    text = pattern.strip()
    if not text:
        return lambda message: True
    if text.startswith("["):
        raise PatternError(f"space-delimited patterns are not implemented in the local cloud: {pattern}")
    if text.startswith("{"):
        if not text.endswith("}"):
            raise PatternError(f"no closing brace: {pattern}")
        return _json_matcher(_Parser(_tokens(text[1:-1])).parse())
    return _term_matcher(text)


def _json_matcher(rule: _Rule) -> Matcher:
    def matches(message: str) -> bool:
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return isinstance(document, dict | list) and rule(document)

    return matches


def _term_matcher(text: str) -> Matcher:
    """All plain terms, no `-` term, and where there are only `?` terms at least one of them."""
    tests: dict[str, list[Matcher]] = {"": [], "-": [], "?": []}
    for found in _TERM.finditer(text):
        tests[found["sign"]].append(_term_test(found["regex"], found["text"] or found["word"] or ""))
    required, forbidden, alternatives = tests[""], tests["-"], tests["?"]

    def matches(message: str) -> bool:
        if any(test(message) for test in forbidden) or not all(test(message) for test in required):
            return False
        return bool(required) or not alternatives or any(test(message) for test in alternatives)

    return matches


def _term_test(regex: str | None, word: str) -> Matcher:
    if regex is not None:
        compiled = _regex(regex)
        return lambda message: compiled.search(message) is not None
    return lambda message: word in message


@dataclass(frozen=True)
class _Token:
    kind: str  # operator | selector | text | regex | word
    value: str


def _tokens(text: str) -> list[_Token]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or found.lastgroup is None:
            raise PatternError(f"can't read {text[position:]!r}")
        tokens.append(_Token(found.lastgroup, found[found.lastgroup]))
        position = found.end()
    return tokens


class _Parser:
    """either := both ("||" both)* ; both := simple ("&&" simple)* ; simple := "(" either ")" | comparison"""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def parse(self) -> _Rule:
        rule = self._either()
        if self._next != len(self._tokens):
            raise PatternError(f"unexpected {self._tokens[self._next].value!r}")
        return rule

    def _either(self) -> _Rule:
        rules = [self._both()]
        while self._skip("||"):
            rules.append(self._both())
        return lambda document: any(rule(document) for rule in rules)

    def _both(self) -> _Rule:
        rules = [self._simple()]
        while self._skip("&&"):
            rules.append(self._simple())
        return lambda document: all(rule(document) for rule in rules)

    def _simple(self) -> _Rule:
        if self._skip("("):
            rule = self._either()
            if not self._skip(")"):
                raise PatternError("a closing parenthesis is missing")
            return rule
        selector, operator = self._take(), self._take()
        if selector.kind != "selector":
            raise PatternError(f"{selector.value!r} is not a property selector ($.name)")
        if operator.kind == "word":
            return self._keyword(selector.value, operator.value.upper())
        return _comparison(selector.value, operator.value, self._take())

    def _keyword(self, selector: str, word: str) -> _Rule:
        """`IS NULL`, `IS TRUE`, `IS FALSE`, `NOT EXISTS`."""
        operand = self._take().value.upper()
        if word == "IS" and operand in _LITERALS:
            return lambda document: _select(document, selector) is _LITERALS[operand]
        if word == "NOT" and operand == "EXISTS":
            return lambda document: _select(document, selector) is _NOTHING
        raise PatternError(f"{word} {operand} is no comparison")

    def _skip(self, operator: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next] == _Token("operator", operator):
            self._next += 1
            return True
        return False

    def _take(self) -> _Token:
        if self._next == len(self._tokens):
            raise PatternError("the pattern ends too early")
        self._next += 1
        return self._tokens[self._next - 1]


def _comparison(selector: str, operator: str, operand: _Token) -> _Rule:
    if operator in ("=", "!="):
        equal = _equality(operand)

        def compares(document: Any) -> bool:
            value = _select(document, selector)
            if value is _NOTHING or isinstance(value, dict | list):
                return False
            return equal(value) == (operator == "=")

        return compares
    limit = _number(operand.value) if operand.kind == "word" else None
    if operator not in _COMPARISONS or limit is None:
        raise PatternError(f"{operator} {operand.value} is no comparison")
    compare = _COMPARISONS[operator]

    def is_within(document: Any) -> bool:
        value = _select(document, selector)
        return isinstance(value, int | float) and not isinstance(value, bool) and compare(value, limit)

    return is_within


def _equality(operand: _Token) -> _Rule:
    if operand.kind == "regex":
        compiled = _regex(operand.value)
        return lambda value: isinstance(value, str) and compiled.search(value) is not None
    number = _number(operand.value) if operand.kind == "word" else None
    if number is not None:  # a number never equals a JSON string of the same digits
        return lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and value == number
        )
    # `*` is the only wildcard; fnmatch knows two more
    glob = operand.value.replace("[", "[[]").replace("?", "[?]")
    return lambda value: isinstance(value, str) and fnmatch.fnmatchcase(value, glob)


def _select(document: Any, selector: str) -> Any:
    """What `$.a.b[0]` finds, or `_NOTHING`."""
    current = document
    for name, bracket in _STEP.findall(selector):
        key = name or bracket.strip("'\"")
        if isinstance(current, dict) and key in current:
            current = current[key]
        elif bracket and isinstance(current, list) and key.isdigit() and int(key) < len(current):
            current = current[int(key)]
        else:
            return _NOTHING
    return current


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise PatternError(f"%{text}%: {error}") from error
