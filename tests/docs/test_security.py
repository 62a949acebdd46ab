"""What docs/SECURITY.md names is there: tests, readers, flags."""

from __future__ import annotations

import ast
import re

import pages

PAGE = pages.DOCS / "SECURITY.md"
TESTS = pages.ROOT / "tests"


def test_the_tests_that_it_names_exist():
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE.read_text())
    assert len(named) >= 8
    for path, name in named:
        body = ast.parse((TESTS / path).read_text()).body
        assert name in {getattr(node, "name", None) for node in body}, (path, name)


def test_the_readers_that_it_names_exist():
    rows = [
        re.findall(r"`([^`]+)`", line.split(" | ")[0])
        for line in PAGE.read_text().splitlines()
        if re.match(r"\| `\w+\(\)`", line)
    ]
    assert len(rows) >= 15
    for *functions, path in rows:
        source = (pages.ROOT / path).read_text()
        for function in functions:
            name = function.removesuffix("()")
            # Where it is defined, its name begins a line.
            assert re.search(rf"^{name}\(", source, re.MULTILINE), (path, name)


def test_whoever_reads_once_is_named():
    """Each file that uses fc_read_once() has a row."""
    text = PAGE.read_text()
    for path in sorted(pages.ROOT.glob("src/*/*.c")):
        if "fc_read_once(" in path.read_text():
            name = path.relative_to(pages.ROOT).as_posix()
            assert f"`{name}`" in text, name
