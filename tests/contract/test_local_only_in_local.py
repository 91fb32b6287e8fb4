"""One code path: only `local/` knows the engine. Everything else works against AWS and can't tell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PARTS = ("spaceport", "functions", "containers", "cli", "demo", "deploy")
ENGINE = re.compile(r"ministack|localstack|\bmoto\b", re.IGNORECASE)
ASKING = re.compile(r"\bis_?local\b|\bAWS_ENDPOINT_URL|_aws/execute-api|\bon_aws\b", re.IGNORECASE)


def sources(repository: Path) -> list[Path]:
    return sorted(
        path
        for part in PARTS
        for path in (repository / part).rglob("*.py")
        if not {"node_modules", "build"} & set(path.relative_to(repository).parts)
    )


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported by a statement, or by name through importlib."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                yield name


def spoken(tree: ast.AST) -> Iterator[str]:
    """Every name and text in code; comments are free to explain."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_there_to_be_searched(repository, part):
    assert any((repository / part).rglob("*.py"))


def test_nothing_outside_local_imports_the_local_cloud(repository):
    guilty = [
        f"{path.relative_to(repository)}: {module}"
        for path in sources(repository)
        for module in imported(ast.parse(path.read_text()))
        if module.partition(".")[0] == "spaceport_local"
    ]

    assert guilty == []


def test_nothing_outside_local_knows_an_engine_by_name(repository):
    guilty = [
        f"{path.relative_to(repository)}: {text[:60]!r}"
        for path in sources(repository)
        for tree in [ast.parse(path.read_text())]
        for text in (*imported(tree), *spoken(tree))
        if ENGINE.search(text)
    ]

    assert guilty == []


def test_nothing_outside_local_asks_whether_the_engine_is_local(repository):
    guilty = [
        f"{path.relative_to(repository)}: {text[:60]!r}"
        for path in sources(repository)
        for text in spoken(ast.parse(path.read_text()))
        if ASKING.search(text)
    ]

    assert guilty == []
