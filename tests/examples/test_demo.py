"""The demo, small: its tables, the files it writes, and its honesty."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from running import EXAMPLES, IMAGES, WIDTH, finish, start_example

SHORT_TASKS = (
    "submit + result in bulk, us",
    "map, us",
    "as_completed, us",
    "callback on each, us",
    "submit(f).result(), us",
    "the same after 1 ms idle, us",
    "memory per pending task, bytes",
)
PROCESS_TASKS = (
    "submit + result in bulk, us",
    "map, us",
    "submit(f).result(), us",
    "10 MB there and back, ms",
)
CRAWL = (
    "time, s",
    "pages per second, 1/s",
    "CPU outside the page work, ms",
    "peak memory, MB",
)
CONVERSION = (
    "time, s",
    "images per second, 1/s",
    "CPU outside the image work, ms",
    "peak memory, MB",
)
#: Each table by its key in demo.json: its title, and its lines with a ratio.
TABLES = {
    "crawl": ("A crawl: the same pages, the same bytes", CRAWL),
    "images": ("A folder of images in processes: the same bytes", CONVERSION),
    "pipeline": ("Threads download, processes convert: the same", CONVERSION),
    "tasks": ("Short tasks: functions that do nothing, 4 workers", SHORT_TASKS),
    "process_tasks": ("Short tasks in 2 processes", PROCESS_TASKS),
}


@pytest.mark.slow
@pytest.mark.cap(150)
def test_demo(tmp_path: Path) -> None:
    """Tables with a ratio on every line, raw figures, and a picture."""
    process = start_example("demo.py", "--quick", f"--output-dir={tmp_path}")
    outcome = finish(process, cap=140).check()
    assert (tmp_path / "demo.txt").read_text() == outcome.stdout
    _heading, *texts = outcome.stdout.rstrip("\n").split("\n\n")
    raw = json.loads((tmp_path / "demo.json").read_text())
    for (key, (title, names)), text in zip(TABLES.items(), texts, strict=True):
        first, _head, _rule, *lines = text.splitlines()
        assert first == title
        if key in ("crawl", "images", "pipeline"):
            things = re.fullmatch(r"(?:pages|images) +(\d+) +(\d+) *", lines.pop(0))
            assert things is not None
            assert things[1] == things[2]
            # The index, and what of the 25 modules this system has.
            expected = range(20, 27) if key == "crawl" else [9]
            assert int(things[1]) in expected
        for name, line in zip(names, lines, strict=True):
            pattern = rf"{re.escape(name)} +[\d,.]+ +[\d,.]+ +[\d.]+x"
            assert re.fullmatch(pattern, line), name
        for _name, standard, ours, _unit, _more in raw[key]:
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


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import what measures tasks in processes as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "demo_processes", raising=False)
    return importlib.import_module("demo_processes")


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
    """Runs that found other pages, or other bytes, end the demo."""
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


def test_missing_image_ends_the_demo(
    demo: ModuleType, drawn: Path, tmp_path: Path
) -> None:
    """So many images and no fewer have to come out of a run."""
    arguments = "images.py", str(drawn), demo.STANDARD, tmp_path
    figures = demo.convert(*arguments, IMAGES)
    assert len(figures["found"]) == IMAGES + 1
    with pytest.raises(demo.Failure, match=f"{IMAGES} images, errors: .*broken"):
        demo.convert(*arguments, IMAGES + 1)


def test_broken_image_has_to_be_noticed(
    demo: ModuleType, drawn: Path, tmp_path: Path
) -> None:
    """A run that reports no error has not looked, or not found it."""
    folder = tmp_path / "photos"
    shutil.copytree(drawn, folder)
    (folder / "broken.jpg").unlink()
    with pytest.raises(demo.Failure, match=f"Converted {IMAGES} images"):
        demo.convert("images.py", str(folder), demo.STANDARD, tmp_path, IMAGES)


def test_images_are_drawn_alike(drawn: Path, tmp_path: Path) -> None:
    """Whoever draws them, whenever: the same bytes."""
    size = (f"--images={IMAGES}", f"--width={WIDTH}")
    finish(start_example("demo_drawing.py", str(tmp_path), *size)).check()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {path.name: path.read_bytes() for path in drawn.iterdir()}
    assert len(set(found.values())) == len(found) == IMAGES + 1


def test_wrong_results_are_not_measured(processes: ModuleType) -> None:
    """A pool that mixes up its results ends the measurement."""

    class MixedUp:
        """Answers each call with the result of another one."""

        def map(self, function: object, values: list[int]) -> list[int]:
            return [*values[1:], values[0]]

    with pytest.raises(SystemExit, match=r"\[0, 1, 2.* came back as \[1, 2, 3"):
        processes.mapped(MixedUp())
