"""Run the examples as people run them, and the site that they visit."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.subproc import Outcome

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FAULTY_SITE = Path(__file__).with_name("faulty_site.py")

#: Python 3.15 warns as it formats a traceback through the main module of a
#: process that was not forked: multiprocessing runs that without a loader.
NOT_OURS = "ignore:Module globals is missing a __spec__.loader:DeprecationWarning"

#: The images that tests convert, beside the broken one.
IMAGES = 12
WIDTH = 160

#: Seconds that an example may take; all but the demo take a fraction.
CAP = 40.0


class Site:
    """The site with faults, served by another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over the process that serves the site."""
        self.process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def asked(self) -> list[str]:
        """Return the paths that visitors have asked for so far."""
        with urllib.request.urlopen(f"{self.url}/log", timeout=10) as answer:
            return answer.read().decode().splitlines()


@contextlib.contextmanager
def served(*args: str) -> Iterator[Site]:
    """Serve a fresh site with faults; *args* are those of faulty_site.py."""
    with subprocess.Popen(
        [sys.executable, str(FAULTY_SITE), *args],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Site(process)
        finally:
            process.kill()


def start_example(
    name: str, *args: str, terminal: int | None = None
) -> subprocess.Popen[str]:
    """Start an example in a process group of its own; warnings are errors.

    *terminal* is a descriptor to be its standard error.
    """
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
    spec = importlib.util.find_spec("futures_c")
    if spec is not None and spec.origin is not None:
        # The child finds the package that the tests run on.
        environ["PYTHONPATH"] = str(Path(spec.origin).parents[1])
    return subprocess.Popen(
        [
            sys.executable, "-X", "faulthandler", "-W", "error", "-W", NOT_OURS,
            str(EXAMPLES / name), *args,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if terminal is None else terminal,
        text=True,
        encoding="utf-8",
        env=environ,
        start_new_session=True,
    )  # fmt: skip


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def finish(process: subprocess.Popen[str], cap: float = CAP) -> Outcome:
    """Wait for an example; one that hangs shows the traceback of its threads."""
    timed_out = False
    with process:
        try:
            out, err = process.communicate(timeout=cap)
        except subprocess.TimeoutExpired:
            timed_out = True
            process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=cap)  # It writes its tracebacks.
            # Its processes hold the pipe as well, and may not end by themselves.
            _kill_group(process)
            out, err = process.communicate()
        finally:
            _kill_group(process)
    return Outcome(process.args, process.returncode, out, err, timed_out)
