"""The short examples, on both modules, against the same site."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from running import Site
from support.subproc import Outcome

Example = Callable[..., Outcome]


def checksum(body: str) -> str:
    """Return the first digits of a checksum, as the examples print it."""
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def paths(site: Site, lines: list[str]) -> list[str]:
    """Return the path at the end of each line."""
    return [line.rpartition(site.url)[2] for line in lines]


def test_map_keeps_the_order(example: Example, site: Site) -> None:
    """Results come in the order of the arguments, the slower first one too."""
    names = ["/endless/7", *(f"/page/{i}" for i in range(20))]
    outcome = example("download_map.py", *(site.url + n for n in names)).check()
    assert paths(site, outcome.lines) == names
    assert checksum("<title>/page/0</title>") in outcome.lines[1]
    assert outcome.stderr == ""


def test_map_ends_at_the_first_failure(example: Example, site: Site) -> None:
    """What stands before the failure is printed, and nothing after it."""
    names = ["/a", "/b", "/missing", "/c"]
    outcome = example("download_map.py", *(site.url + n for n in names)).check(1)
    assert paths(site, outcome.lines) == ["/a", "/b"]
    assert "404" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_as_completed_handles_each(example: Example, site: Site) -> None:
    """Each address has its own outcome; failures hide nothing."""
    names = ["/a", "/missing", "/b", "/loop/a", "/slow", "/c"]
    outcome = example(
        "download_as_completed.py", *(site.url + n for n in names), "--timeout=1"
    ).check(1)
    *lines, summary = outcome.lines
    by_path = dict(zip(paths(site, lines), lines, strict=True))
    assert set(by_path) == set(names)
    assert by_path["/missing"].startswith("failed  HTTP 404")
    assert by_path["/loop/a"].startswith("failed  TooManyRedirects")
    assert by_path["/slow"].startswith("failed  ReadTimeout")
    assert checksum("<title>/c</title>") in by_path["/c"]
    assert summary == "3 downloaded, 3 failed"
    # The slow one is the last to be reported: order of completion.
    assert paths(site, lines)[-1] == "/slow"
    assert "Traceback" not in outcome.stderr


def test_as_completed_without_failures(example: Example, site: Site) -> None:
    """All well: status 0."""
    outcome = example("download_as_completed.py", f"{site.url}/a", f"{site.url}/b")
    assert outcome.check().lines[-1] == "2 downloaded, 0 failed"


@pytest.mark.parametrize("workers", [1, 8])
def test_callback_pipeline(example: Example, site: Site, workers: int) -> None:
    """Every address comes out at the end of the pipe, failures included."""
    names = ["/one/two/one", "/missing", *(f"/{i}" for i in range(30))]
    outcome = example(
        "callback_pipeline.py",
        *(site.url + n for n in names),
        f"--workers={workers}",
    ).check(1)
    found = dict(line.removeprefix(site.url).split(": ") for line in outcome.lines)
    assert set(found) == set(names)
    assert found["/one/two/one"] == "3 words; one 2, two 1"
    assert found["/missing"] == "HTTPError"
    assert found["/7"] == "1 words; 7 1"
    assert outcome.stderr == ""  # Errors in callbacks would be logged here.


def test_threads_feed_processes(example: Example, site: Site) -> None:
    """What threads fetch, processes compute."""
    names = ["/gzip.html", "/missing", *(f"/{i}" for i in range(10))]
    outcome = example(
        "threads_feed_processes.py", *(site.url + n for n in names)
    ).check(1)
    found = dict(line.removeprefix(site.url).split(": ") for line in outcome.lines)
    assert set(found) == set(names)
    before, after = found["/gzip.html"].split(", compressed ")
    assert before == "5,020 bytes"
    assert int(after) < 100
    assert found["/missing"] == "HTTPError"
    assert outcome.stderr == ""
