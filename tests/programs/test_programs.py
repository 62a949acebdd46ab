"""The programs of the usual tutorials, run on both modules as they stand.

Each script in `scripts` takes the module to use as its first argument; what
it prints has to be what the file beside it (`.out`) says, on either module.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
PROGRAMS = sorted(
    path.stem for path in SCRIPTS.glob("*.py") if path.stem != "downloads"
)


class Page(http.server.BaseHTTPRequestHandler):
    """Pages as long as their names, and one that is missing."""

    def do_GET(self):
        """Answer with some bytes."""
        name = self.path.strip("/")
        body = b"x" * (1000 + len(name))
        self.send_response(404 if name == "missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a local site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def expected(name: str) -> list[str]:
    """What the program prints."""
    return (SCRIPTS / f"{name}.out").read_text().splitlines()


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(futures, script, name):
    source = (SCRIPTS / f"{name}.py").read_text()
    ran = script(source, futures.__name__).check()
    assert ran.lines == expected(name)
    assert ran.stderr == ""


@pytest.mark.parametrize("form", ["submit", "as_completed", "map"])
def test_downloads(futures, script, site, form):
    """The list of pages in its three forms, from a local site."""
    source = (SCRIPTS / "downloads.py").read_text()
    ran = script(source, futures.__name__, form, site).check()
    assert ran.lines == expected("downloads")
    assert ran.stderr == ""


def test_every_program_has_its_output():
    outputs = {path.stem for path in SCRIPTS.glob("*.out")}
    assert outputs == {path.stem for path in SCRIPTS.glob("*.py")}
    assert len(PROGRAMS) >= 14
