"""docs/faults.md and the tests that it names agree.

What tests say about faults of the standard module is read from their text: the
numbers in their names and docstrings, and what their ``fault`` marks say.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pages
import pytest

PAGE = pages.DOCS / "faults.md"
TESTS = pages.ROOT / "tests"

#: A test, as a cell of the last column names it.
NODE = re.compile(r"^`([\w/]+\.py)::(test_\w+)`$")

#: An issue: in a test's name ("gh87893"), in a mark and on the page ("gh-87893").
ISSUE = re.compile(r"(?<![a-z])(gh|bpo|pr)[- ]?(\d{3,})", re.IGNORECASE)

#: Tests of the harness itself, whose issues are made up.
MADE_UP = TESTS / "support" / "test_support.py"


@dataclass
class Row:
    """One fault: the cells, and the tests of the last one."""

    cells: list[str]
    nodes: list[tuple[str, str]]


@dataclass
class Named:
    """What a file of tests says: issues and unnumbered reasons by test."""

    tests: set[str] = field(default_factory=set)
    issues: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    reasons: dict[str, set[str]] = field(default_factory=dict)


def issues_of(text: str) -> set[tuple[str, int]]:
    return {(kind.lower(), int(number)) for kind, number in ISSUE.findall(text)}


def rows(text: str) -> Iterator[Row]:
    """The rows of the page's tables, without their heads."""
    for line in text.splitlines():
        if not line.startswith("|") or line.startswith(("|---", "| fault |")):
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        nodes = [
            match.groups()
            for part in cells[-1].rstrip("| ").split("<br>")
            if (match := NODE.match(part.strip())) is not None
        ]
        yield Row(cells, nodes)


def marks_in(node: ast.AST, constants: dict[str, list[str]]) -> Iterator[str]:
    """What the ``fault`` marks within *node* say."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in constants:
            yield from constants[part.id]
        is_mark = (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr == "fault"
        )
        if is_mark and isinstance(part.args[0], ast.Constant):
            yield part.args[0].value


def read(source: str) -> Named:
    """What a file of tests says."""
    named = Named()
    constants: dict[str, list[str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = list(marks_in(node.value, {}))
        if not isinstance(node, ast.FunctionDef):
            continue
        told = [node.name]
        if node.name.startswith("test_"):
            named.tests.add(node.name)
            told.append(ast.get_docstring(node) or "")
        for decorator in node.decorator_list:
            for reason in marks_in(decorator, constants):
                told.append(reason)
                if not issues_of(reason):
                    named.reasons.setdefault(reason, set()).add(node.name)
        for issue in issues_of(" ".join(told).replace("_", " ")):
            named.issues.setdefault(issue, set()).add(node.name)
    return named


@functools.cache
def files() -> dict[str, Named]:
    """What each file of tests says, by its path below tests."""
    return {
        path.relative_to(TESTS).as_posix(): read(path.read_text())
        for path in sorted(TESTS.rglob("test_*.py"))
        if path != MADE_UP and path != Path(__file__)
    }


def complaints(text: str, found: dict[str, Named]) -> Iterator[str]:
    """What is wrong with a page, given what the tests say."""
    listed: set[tuple[str, str]] = set()
    for row in rows(text):
        if len(row.cells) != 4 or not all(row.cells):
            yield f"not four cells: {row.cells}"
        if not row.nodes:
            yield f"no test: {row.cells[0]}"
        if len(row.nodes) != row.cells[-1].count("::"):
            yield f"not a test: {row.cells[-1]}"
        for path, name in row.nodes:
            if path not in found or name not in found[path].tests:
                yield f"there is no {path}::{name}"
        listed.update(row.nodes)
    known = issues_of(text)
    marked: dict[str, set[tuple[str, str]]] = {}
    for path, named in found.items():
        for issue, names in named.issues.items():
            if issue not in known:
                yield f"{issue} is not on the page: {path} {sorted(names)}"
        for reason, names in named.reasons.items():
            marked.setdefault(reason, set()).update((path, name) for name in names)
    for reason, tests in marked.items():
        if not tests & listed:
            yield f"{reason!r} is not on the page: {sorted(tests)}"


def test_the_page_and_the_tests_agree():
    text = PAGE.read_text()
    assert len(list(rows(text))) >= 46
    assert list(complaints(text, files())) == []


def test_the_tests_are_collected():
    """By pytest itself, which knows them under these names."""
    nodes = {
        f"tests/{path}::{name}"
        for row in rows(PAGE.read_text())
        for path, name in row.nodes
        if sys.version_info >= (3, 12) or not path.startswith("interpreters/")
    }
    command = [sys.executable, "-P", "-m", "pytest", *sorted(nodes)]
    command += ["--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=pages.ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line.partition("[")[0] for line in done.stdout.splitlines()}
    assert nodes <= collected


SOURCE = """
import pytest
HELD = pytest.mark.fault("a lock that is held", cap=3)
@HELD
def test_a_lock(futures): ...
@pytest.mark.fault("gh-1234567")
def test_marked(futures): ...
def test_gh765432_named(futures): ...
"""
GOOD = """
| fault | standard module | ours | tests |
|---|---|---|---|
| a lock | held | free | `a/test_a.py::test_a_lock` |
| gh-1234567, gh-765432: both | open | done | `a/test_a.py::test_marked` |
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("test_a_lock`", "test_a_look`", "there is no a/test_a.py::test_a_look"),
        ("gh-765432", "gh-765433", "('gh', 765432) is not on the page"),
        ("gh-1234567", "gh-1", "('gh', 1234567) is not on the page"),
        ("| a lock | held | free | `a/test_a.py::test_a_lock` |\n", "", "a lock that"),
        ("`a/test_a.py::test_marked`", "to be done", "no test: gh-1234567"),
        ("| open |", "|  |", "not four cells"),
        ("::test_marked`", "::test_marked", "not a test"),
    ],
)
def test_what_does_not_agree_is_found(old, new, complaint):
    found = {"a/test_a.py": read(SOURCE)}
    assert list(complaints(GOOD, found)) == []
    assert old in GOOD
    said = list(complaints(GOOD.replace(old, new), found))
    assert any(complaint in line for line in said), said
