"""The demo, small: both tables, the files it writes, and its honesty."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from running import EXAMPLES, finish, start_example

SHORT_TASKS = (
    "submit + result in bulk, us",
    "map, us",
    "as_completed, us",
    "callback on each, us",
    "submit(f).result(), us",
    "the same after 1 ms idle, us",
    "memory per pending task, bytes",
)
CRAWL = (
    "time, s",
    "pages per second, 1/s",
    "CPU outside the page work, ms",
    "peak memory, MB",
)


@pytest.mark.slow
@pytest.mark.cap(150)
def test_demo(tmp_path: Path) -> None:
    """Tables with a ratio on every line, raw figures, and a picture."""
    process = start_example("demo.py", "--quick", f"--output-dir={tmp_path}")
    outcome = finish(process, cap=140).check()
    assert (tmp_path / "demo.txt").read_text() == outcome.stdout
    for name in (*SHORT_TASKS, *CRAWL):
        line = rf"^{re.escape(name)} +[\d,.]+ +[\d,.]+ +[\d.]+x$"
        assert re.search(line, outcome.stdout, re.MULTILINE), name
    pages = re.search(r"^pages +(\d+) +(\d+)", outcome.stdout, re.MULTILINE)
    assert pages is not None
    # The index, and what of the 25 modules this system has.
    assert pages[1] == pages[2]
    assert 20 <= int(pages[1]) <= 26

    raw = json.loads((tmp_path / "demo.json").read_text())
    assert len(raw["tasks"]) == len(SHORT_TASKS)
    for _name, standard, ours, _unit, _more in (*raw["crawl"], *raw["tasks"]):
        assert standard > 0
        assert ours > 0

    draws = [sys.executable, "-c", "import matplotlib.pyplot"]
    if subprocess.run(draws, capture_output=True).returncode:
        # There are interpreters that matplotlib is not to be had for.
        assert "\nNo picture without matplotlib: " in outcome.stderr
    else:
        picture = (tmp_path / "demo.png").read_bytes()
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(picture) > 20_000


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the demo as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "demo", raising=False)
    return importlib.import_module("demo")


MISSING = ("http://site/b", "", 404, 0, "")
PAGES = {("http://site/", "http://site/", 200, 10, "ab"), MISSING}


@pytest.mark.parametrize(
    ("found", "differing"),
    [
        (PAGES, None),
        (PAGES - {MISSING}, "http://site/b"),
        ({("http://site/", "http://site/", 200, 10, "cd")}, "cd"),
    ],
    ids=["the same", "a page less", "other bytes"],
)
def test_different_pages_are_noticed(
    demo: ModuleType, found: set[Any], differing: str | None
) -> None:
    """Crawls that found other pages, or other bytes, end the demo."""
    results = {
        demo.STANDARD: [{"found": PAGES}, {"found": PAGES}],
        demo.OURS: [{"found": PAGES}, {"found": found}],
    }
    if differing is None:
        demo.check_same(results)
    else:
        with pytest.raises(demo.Failure, match=differing):
            demo.check_same(results)


def test_ratios_say_how_many_times_better(demo: ModuleType) -> None:
    """More pages per second and fewer seconds are both better."""
    assert demo.Row("time", 3.0, 1.5, "s").ratio == 2
    assert demo.Row("rate", 100.0, 150.0, "1/s", more_is_better=True).ratio == 1.5
    slower = demo.table_cells(demo.Row("map", 1.0, 2.0, "us"))
    assert slower == ("map, us", "1.00", "2.00", "0.5x")


def test_failing_crawl_ends_the_demo(demo: ModuleType, tmp_path: Path) -> None:
    """A crawl that fails is an error with its reason, not a figure."""
    with pytest.raises(demo.Failure, match="Connection refused"):
        demo.crawl("http://127.0.0.1:9/", demo.STANDARD, tmp_path)
