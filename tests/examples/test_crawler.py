"""The crawler on a site where everything that can go wrong does."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from running import Site, finish, start_example
from support.subproc import Outcome

Example = Callable[..., Outcome]
Records = dict[str, dict[str, Any]]

#: Options that make the faults of the site quick to meet.
IMPATIENT = ("--timeout=1", "--retries=1", "--backoff=0.05")


def read(path: Path, site: Site) -> Records:
    """Return a crawl's records by path; every line has to be whole."""
    records: Records = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        key = record["url"].removeprefix(site.url)
        assert key not in records, f"{key} was visited twice"
        records[key] = record
    return records


@pytest.fixture
def crawl(example: Example, site: Site, tmp_path: Path) -> Callable[..., Any]:
    """Crawl the site with further options; return outcome and records."""

    def run(*args: str, start: str = "/") -> tuple[Outcome, Records]:
        output = tmp_path / "pages.jsonl"
        outcome = example("crawler.py", site.url + start, f"--output={output}", *args)
        return outcome, read(output, site)

    return run


@pytest.fixture
def whole(crawl: Callable[..., Any]) -> tuple[Outcome, Records]:
    """Crawl the whole site."""
    outcome, records = crawl(*IMPATIENT)
    outcome.check()
    return outcome, records


OK_PAGES = {
    "/": "Start \u2013 Ünïcode and white space",
    "/plain.html": "/plain.html",
    "/deep/relative.html": "",
    "/up.html": "/up.html",
    "/gr%C3%BC%C3%9Fe/stra%C3%9Fe?q=%C3%A4%20%C3%B6": "Grüße",
    "/flaky": "At last",
    "/busy": "Free",
    "/moved": "/plain.html",
    "/away": "Foreign",
    "/film.bin": "",
    "/latin1.html": "Café",
    "/utf16.html": "Σίσυφος",
    "/from-utf16": "/from-utf16",
    "/gzip.html": "Small",
    "/base.html": "",
    "/based/here.html": "/based/here.html",
    "/nofollow.html": "",
    "/odd.html": "Odd",
    "/from-odd": "/from-odd",
    "/framed.html": "/framed.html",
}

FAILURES = {
    "/missing": "HTTP 404 Not Found",
    "/broken": "HTTP 500 Internal Server Error",
    "/cut": "IncompleteRead",
    "/slow": "timed out",
    "/trickle": "timed out",
    "/loop/a": "more than 10 redirects",
}

ATTEMPTS = {
    "/": 1, "/plain.html": 1, "/flaky": 2, "/busy": 2, "/broken": 2,
    "/slow": 2, "/trickle": 2, "/cut": 2, "/missing": 1, "/loop/a": 1,
}  # fmt: skip


def test_the_whole_site(whole: tuple[Outcome, Records], site: Site) -> None:
    """Every page is there once, and every failure says what it was."""
    outcome, records = whole
    assert set(records) == set(OK_PAGES) | set(FAILURES)
    titles = {key: r["title"] for key, r in records.items() if not r["error"]}
    assert titles == OK_PAGES
    for key, text in FAILURES.items():
        assert text in records[key]["error"], key
        assert f"{site.url}{key}: " in outcome.stderr
    attempts = {key: records[key]["attempts"] for key in ATTEMPTS}
    assert attempts == ATTEMPTS
    assert f"{len(records)} pages" in outcome.stderr
    assert f"{len(FAILURES)} errors" in outcome.stderr
    assert outcome.stdout == ""


def test_what_is_written_of_a_page(whole: tuple[Outcome, Records], site: Site) -> None:
    """Redirects, types, sizes and origins stand in the records."""
    _, records = whole
    moved = records["/moved"]
    assert moved["final"] == site.url + "/plain.html"
    assert moved["sha256"] == records["/plain.html"]["sha256"] != ""
    assert records["/away"]["final"] == f"http://localhost:{site.port}/foreign.html"
    assert records["/gzip.html"]["bytes"] == len("<title>Small</title>") + 5000
    film = records["/film.bin"]
    assert (film["type"], film["bytes"], film["sha256"]) == (
        "application/octet-stream", 10**12, "",
    )  # fmt: skip
    assert film["seconds"] < 1  # Nobody waited for the film.
    assert records["/busy"]["seconds"] >= 1  # That is what the server asked for.
    assert records["/slow"]["seconds"] < 6
    assert records["/"]["source"] is None
    assert records["/up.html"]["source"] == site.url + "/deep/relative.html"


def test_what_is_not_asked_for(whole: tuple[Outcome, Records], site: Site) -> None:
    """Other sites, what robots.txt rules out and links of errors are left."""
    asked = site.asked()
    assert asked.count("/robots.txt") == 1
    for path in (
        "/private/secret.html", "/outside.html", "/own", "/from-error",
        "/not-followed", "/here.html",
    ):  # fmt: skip
        assert path not in asked
    assert asked.count("/") == 1
    # By its own link, and once more where a redirect leads.
    assert asked.count("/plain.html") == 2


def test_robots_can_be_ignored(crawl: Callable[..., Any]) -> None:
    """--ignore-robots visits what robots.txt rules out, too."""
    _, records = crawl(*IMPATIENT, "--retries=0", "--ignore-robots")
    assert records["/private/secret.html"]["status"] == 200


@pytest.mark.parametrize("most", [1, 7, 40])
def test_max_pages_is_exact(crawl: Callable[..., Any], site: Site, most: int) -> None:
    """On a site without end exactly so many pages are visited."""
    outcome, records = crawl(f"--max-pages={most}", start="/endless/0")
    outcome.check()
    assert len(records) == most
    assert sum(p.startswith("/endless/") for p in site.asked()) == most


def test_max_pages_bounds_start_addresses(
    example: Example, site: Site, tmp_path: Path
) -> None:
    """More start addresses than pages allowed: the first ones are visited."""
    output = tmp_path / "pages.jsonl"
    starts = [f"{site.url}/start/{i}" for i in range(5)]
    example("crawler.py", *starts, f"--output={output}", "--max-pages=3").check()
    assert set(read(output, site)) == {"/start/0", "/start/1", "/start/2"}


def test_retries_can_be_off(crawl: Callable[..., Any]) -> None:
    """Without retries the first failure is the last."""
    outcome, records = crawl("--retries=0", start="/flaky")
    assert records["/flaky"]["error"] == "HTTP 500 Internal Server Error"
    assert outcome.returncode == 1  # Not one page was fetched.


def test_nobody_listens(example: Example, site: Site, tmp_path: Path) -> None:
    """An address that does not answer is an error in a record, no traceback."""
    site.process.kill()
    site.process.wait()
    output = tmp_path / "pages.jsonl"
    outcome = example(
        "crawler.py", site.url, f"--output={output}", "--backoff=0.01"
    ).check(1)
    (record,) = read(output, site).values()
    assert "Connection refused" in record["error"]
    assert record["attempts"] == 3
    assert "Traceback" not in outcome.stderr


def test_delay_is_kept(crawl: Callable[..., Any]) -> None:
    """Requests to a site keep their distance, whatever the number of workers."""
    started = time.monotonic()
    _, records = crawl("--delay=0.1", "--max-pages=11", start="/endless/0")
    assert len(records) == 11
    assert time.monotonic() - started >= 1.0


def test_json_lines_on_standard_output(example: Example, site: Site) -> None:
    """Without --output the records are on stdout, and nothing else is."""
    outcome = example("crawler.py", site.url + "/endless/0", "--max-pages=5").check()
    assert len([json.loads(line) for line in outcome.lines]) == 5
    assert "5 pages" in outcome.stderr


def test_figures_of_the_run(
    crawl: Callable[..., Any], futures: ModuleType, tmp_path: Path
) -> None:
    """--stats writes what the run took, on which module."""
    stats = tmp_path / "stats.json"
    _, records = crawl("--max-pages=30", f"--stats={stats}", start="/endless/0")
    figures = json.loads(stats.read_text())
    assert figures["module"] == futures.__name__
    assert figures["pages"] == 30
    assert figures["bytes"] == sum(r["bytes"] for r in records.values())
    assert 0 < figures["cpu_outside_pages"] < figures["cpu"]
    page_cpu = sum(r["cpu"] for r in records.values())
    assert figures["cpu_outside_pages"] == pytest.approx(figures["cpu"] - page_cpu)


@pytest.mark.parametrize(
    "bad", [("ftp://example.org/",), ("http://",), ("x", "--workers=0")]
)
def test_bad_arguments(example: Example, bad: tuple[str, ...]) -> None:
    """They are refused with the usage, before anything is asked for."""
    outcome = example("crawler.py", *bad).check(2)
    assert "usage:" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def interrupt(
    module: ModuleType, site: Site, output: Path, *args: str, after: int
) -> Outcome:
    """Crawl the site without end and press Ctrl-C after some pages."""
    process = start_example(
        "crawler.py", f"{site.url}/endless/0", f"--module={module.__name__}",
        f"--output={output}", *args,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if output.exists() and output.read_bytes().count(b"\n") >= after:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    return finish(process, cap=20)


@pytest.mark.parametrize("after", [1, 50])
def test_ctrl_c_in_the_middle(
    futures: ModuleType, site: Site, tmp_path: Path, after: int
) -> None:
    """Ctrl-C: what was found is written, status 130, no traceback, soon."""
    output = tmp_path / "pages.jsonl"
    outcome = interrupt(futures, site, output, "--max-pages=100000", after=after).check(
        130
    )
    records = read(output, site)
    assert len(records) >= after
    assert output.read_bytes().endswith(b"\n")
    (line,) = outcome.stderr.splitlines()
    said = re.match(r"Interrupted after (\d+) pages, ", line)
    assert said is not None
    # Ctrl-C may come between writing a page and counting it.
    assert len(records) - int(said[1]) in (0, 1)


def test_ctrl_c_does_not_wait_for_slow_pages(
    futures: ModuleType, site: Site, tmp_path: Path
) -> None:
    """Requests under way, and pauses before retries, keep nobody waiting."""
    output = tmp_path / "pages.jsonl"
    process = start_example(
        "crawler.py", f"{site.url}/quick", f"{site.url}/slow", f"{site.url}/busy",
        f"{site.url}/broken", "--timeout=30", "--retries=9", "--backoff=20",
        f"--module={futures.__name__}", f"--output={output}",
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and "/quick" not in (
        output.read_text() if output.exists() else ""
    ):
        time.sleep(0.01)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    outcome = finish(process, cap=20).check(130)
    assert time.monotonic() - pressed < 4
    assert "/quick" in read(output, site)
    assert "Traceback" not in outcome.stderr


def test_reader_that_goes_away(futures: ModuleType, site: Site) -> None:
    """`crawler.py ... | head -1` ends without a traceback."""
    process = start_example(
        "crawler.py", f"{site.url}/endless/0", f"--module={futures.__name__}",
        "--max-pages=100000",
    )  # fmt: skip
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.wait(timeout=20) == 1
    assert process.stderr is not None
    with process, process.stderr:
        assert "Traceback" not in process.stderr.read()


def test_progress_is_for_terminals(
    futures: ModuleType, site: Site, tmp_path: Path
) -> None:
    """On a terminal a bar shows pages and errors; in a pipe nothing does."""
    main_end, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    with open(main_end, "rb", buffering=0) as terminal:
        process = start_example(
            "crawler.py", f"{site.url}/endless/0", f"{site.url}/missing",
            f"--module={futures.__name__}", "--max-pages=60",
            f"--output={tmp_path / 'pages.jsonl'}", terminal=its_end,
        )  # fmt: skip
        os.close(its_end)
        shown = b""
        try:
            while part := terminal.read(4096):
                shown += part
        except OSError:
            pass  # Linux answers EIO when the other end is closed.
        assert finish(process).returncode == 0
    text = shown.decode()
    assert "pages" in text
    assert "errors=1" in text
    assert "60/60" in text
    assert "HTTP 404" in text


def test_both_modules_find_the_same(site: Site, tmp_path: Path) -> None:
    """The same addresses with the same bytes, whichever module crawls."""
    found = []
    for name in ("concurrent.futures", "futures_c"):
        output = tmp_path / f"{name}.jsonl"
        finish(
            start_example(
                "crawler.py",
                f"{site.url}/",
                f"{site.url}/tree/0",
                *IMPATIENT,
                f"--module={name}",
                f"--output={output}",
            )
        ).check()
        found.append(
            {
                key: (r["status"], r["final"], r["bytes"], r["sha256"], r["error"])
                for key, r in read(output, site).items()
            }
        )
    assert found[0] == found[1]
    assert len(found[0]) == len(OK_PAGES) + len(FAILURES) + 300


def test_module_that_is_not_there(site: Site) -> None:
    """A wrong --module is named in the usage, without a traceback."""
    outcome = finish(start_example("crawler.py", site.url, "--module=no_such"))
    outcome.check(2)
    assert "No module named 'no_such'" in outcome.stderr
    assert "Traceback" not in outcome.stderr
