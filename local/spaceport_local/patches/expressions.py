"""DynamoDB's expressions are read once. MiniStack reads a query's condition again for each item."""

from __future__ import annotations

from functools import lru_cache

from ministack.services import dynamodb

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.dynamodb:_tokenize", "6abb13395c3e"),
    Seam("services.dynamodb:_condition_syntax_error", "5213f1ffac34"),
)
KEPT = 1_000  # expressions; the functions have some dozens, which name all that changes by placeholders


def install() -> None:
    tokenize = lru_cache(KEPT)(dynamodb._tokenize)
    dynamodb._tokenize = lambda expression: list(tokenize(expression))
    dynamodb._condition_syntax_error = lru_cache(KEPT)(dynamodb._condition_syntax_error)
