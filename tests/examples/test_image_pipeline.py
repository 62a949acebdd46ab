"""From a site through threads and processes into a folder."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from running import EXAMPLES, IMAGES, Site, finish, served, start_example
from support.subproc import Outcome

Example = Callable[..., Outcome]

#: What is said of those that the gallery cannot show, from the beginning.
FAILED = {
    "broken.jpg": "image file is truncated (",
    "page.png": "no image, or of an unknown format",
    "gone.png": "404 Client Error: Not Found for url: ",
    "cut.jpg": "(",  # The library's words for a lost connection.
    "slow.jpg": "HTTPConnectionPool(host='127.0.0.1', port=",
}


@pytest.fixture
def gallery(drawn: Path) -> Iterator[Site]:
    """Serve the drawn images, and what is no image."""
    with served(str(drawn)) as found:
        yield found


@pytest.mark.parametrize("method", [None, "fork", "spawn", "forkserver"])
def test_gallery(
    example: Example, gallery: Site, drawn: Path, tmp_path: Path, method: str | None
) -> None:
    """The same bytes as from the folder; each failure is that image's own."""
    from_site, from_folder = tmp_path / "site", tmp_path / "folder"
    stats = tmp_path / "stats.json"
    chosen = [f"--start-method={method}"] if method else []
    outcome = example(
        "image_pipeline.py", f"{gallery.url}/gallery.html", "--timeout=1",
        f"--output={from_site}", "--workers=2", f"--stats={stats}", *chosen,
    ).check(1)  # fmt: skip
    example("images.py", str(drawn), f"--output={from_folder}").check(1)
    expected = {path.name: path.read_bytes() for path in from_folder.iterdir()}
    found = {path.name: path.read_bytes() for path in from_site.iterdir()}
    assert found == expected
    assert len(found) == IMAGES

    *lines, summary = outcome.stderr.splitlines()
    failed = dict(line.split(": ", 1) for line in lines)
    assert failed.keys() == FAILED.keys()
    for name, text in FAILED.items():
        assert failed[name].startswith(text), failed[name]
    assert summary.startswith(f"Converted {IMAGES} images, ")
    assert f", {len(FAILED)} errors in " in summary
    figures = json.loads(stats.read_text())
    assert figures["failed"] == failed
    assert figures["images"] == IMAGES
    assert "/plain.html" not in gallery.asked()


def test_one_name_in_two_folders(example: Example, drawn: Path, tmp_path: Path) -> None:
    """Neither is written over the other, and names with blanks are kept."""
    folder = tmp_path / "photos"
    for name in ("a/x y.jpg", "b/x y.jpg", "b/ü.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn / "photo-000.jpg", folder / name)
    output = tmp_path / "small"
    with served(str(folder)) as site:
        example(
            "image_pipeline.py", f"{site.url}/gallery.html", "--timeout=1",
            f"--output={output}",
        ).check(1)  # fmt: skip
    assert {p.name for p in output.iterdir()} == {"x y.jpg", "1-x y.jpg", "ü.jpg"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing", ": 404 Client Error: Not Found for url: "),
        ("/plain.html", "There are no images on "),
    ],
)
def test_page_without_images(
    example: Example, site: Site, tmp_path: Path, path: str, message: str
) -> None:
    """That is said, and is no success."""
    output = f"--output={tmp_path / 'small'}"
    outcome = example("image_pipeline.py", site.url + path, output).check(1)
    (line,) = outcome.stderr.splitlines()
    assert message in line
    assert site.url + path in line


def test_nobody_listens(example: Example, site: Site, tmp_path: Path) -> None:
    """A site that does not answer is an error in one line."""
    site.process.kill()
    site.process.wait()
    output = f"--output={tmp_path / 'small'}"
    outcome = example("image_pipeline.py", site.url, output).check(1)
    (line,) = outcome.stderr.splitlines()
    assert "Connection refused" in line


@pytest.mark.parametrize(
    "bad", [("--threads=0",), ("--workers=0",), ("--timeout=x",), ("--timeout=-1",)]
)
def test_bad_arguments(example: Example, tmp_path: Path, bad: tuple[str]) -> None:
    """They are refused with the usage, before anything is asked for."""
    output = f"--output={tmp_path / 'small'}"
    outcome = example("image_pipeline.py", "http://127.0.0.1:9/", output, *bad)
    assert "usage:" in outcome.check(2).stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.fault("Ctrl-C in the middle of a wait leaves a future's lock held")
def test_ctrl_c_in_the_middle(futures: ModuleType, drawn: Path, tmp_path: Path) -> None:
    """Ctrl-C, to all processes: status 130, no traceback, nothing by halves."""
    folder, output = tmp_path / "many", tmp_path / "small"
    folder.mkdir()
    for number in range(3000):
        os.link(drawn / "photo-000.jpg", folder / f"{number:04}.jpg")
    with served(str(folder)) as site:
        process = start_example(
            "image_pipeline.py", f"{site.url}/gallery.html", "--workers=2",
            f"--output={output}", f"--module={futures.__name__}",
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and len(site.asked()) < 100:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        outcome = finish(process, cap=20).check(130)
        assert len(site.asked()) < 3000
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("Interrupted after ")
    assert len({path.read_bytes() for path in output.iterdir()}) <= 1


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the program as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "image_pipeline", raising=False)
    return importlib.import_module("image_pipeline")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://example.org/a/b.jpg?size=9#top", "b.jpg"),
        ("https://example.org/a%20b.png", "a b.png"),
        ("https://example.org/x/%2e%2e%2f%2e%2e%2fb.png", "b.png"),
        ("https://example.org/", ""),
    ],
)
def test_names_of_files(pipeline: ModuleType, address: str, name: str) -> None:
    """A name is a name: no address leads out of the output folder."""
    assert pipeline.file_name(address) == name
