"""Every example of every page runs, and says what the page says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pages
import pytest
from support.subproc import run_command

RUNNER = Path(__file__).with_name("run_page.py")


@pytest.mark.parametrize("page", pages.pages_with_examples(), ids=pages.label)
def test_the_examples_of(page, tmp_path):
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "FUTURES_C", "PYTEST"))
    }
    environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]
    )
    # What is printed must not depend on the terminal.
    environ.update(NO_COLOR="1", COLUMNS="80")
    command = [sys.executable, "-X", "faulthandler", "-W", "error"]
    # From 3.12 on a fork beside a thread warns.  A pool that was ended by force has
    # its own thread for a moment longer.
    command += ["-W", "ignore:This process:DeprecationWarning"]
    outcome = run_command(
        [*command, str(RUNNER), str(page), str(tmp_path)], environ
    ).check()
    assert not outcome.stderr, outcome.describe()
    word, count, *wanted = outcome.lines[-1].split()
    assert word == "examples:", outcome.describe()
    if int(count) == 0:
        assert wanted, "a page without an example"
        pytest.skip(f"all of its examples need {', '.join(wanted)}")


def _fails(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    command = [sys.executable, str(RUNNER), str(page), str(tmp_path)]
    outcome = run_command(command, os.environ)
    assert outcome.returncode != 0, outcome.describe()
    return outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\n>>> 1\n2\n```\n", "Expected:"),
        ("```python\n1 / 0\n```\n", 'page.md", line 2'),
        ("```python\n>>> 1 # doctest: +SKIP\n```\n", "an example is skipped"),
        ("    >>> 1\n", "page.md:1: an example outside"),
        ("```console\n$ echo 1\n2\n```\n", "echo 1\nprints\n1"),
        ("```pyhton\n1\n```\n", "what is a block of 'pyhton'?"),
        ("```python\n1\n", "has no end"),
    ],
)
def test_a_wrong_page_fails(tmp_path, text, complaint):
    assert complaint in _fails(tmp_path, text)
