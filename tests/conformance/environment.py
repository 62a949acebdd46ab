"""A temporary environment whose interpreter has the swap built in.

The swap has to reach interpreters that tests start with ``python -I -c ...`` and
the workers of multiprocessing, and nothing but those.  So it lives neither in
environment variables nor on a path: a virtual environment is made for the run,
and its site-packages hold

- a link to the module under test, wherever it is installed,
- a start-up file that has it replace the standard names, as the environment
  variable ``FUTURES_C_INSTALL=1`` does: ``.pth``, and ``.start`` for the versions
  that read it,
- the package `futures_c_conformance`: a copy of ``inside/``.

`sys.executable` of everything that runs in it is its own interpreter, and that is
what CPython's tests and multiprocessing start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

INSIDE = Path(__file__).resolve().parent / "inside"
PACKAGE = "futures_c_conformance"
STANDARD = "concurrent.futures"
SUITE = "test.test_concurrent_futures"

#: How many times longer everything may take where a sanitizer is built in.
SLOW = 5 if os.environ.get("FUTURES_C_SANITIZE") else 1

#: Seconds that listing the tests and finding the module may take.
CAP = 120.0 * SLOW


class EnvironmentFailure(Exception):
    """The environment cannot be made, or the suite not be listed."""


@dataclass(frozen=True)
class Listed:
    """One test of CPython's suite, as the plain interpreter lists it."""

    module: str
    kind: str
    method: str
    file: str
    line: int

    @property
    def name(self) -> str:
        """What skips.py calls it."""
        return f"{self.kind}.{self.method}"


@dataclass(frozen=True)
class Suite:
    """All tests of a suite, and the modules that cannot run here and why."""

    tests: tuple[Listed, ...]
    skipped_modules: dict[str, str]


def clean_variables() -> dict[str, str]:
    """The environment variables of this process, less what changes Python."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON")
        # With colour, CPython's tests do not find the text they look for.
        and name not in ("FORCE_COLOR", "CLICOLOR_FORCE")
    }


def _output_of(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=CAP,
        cwd=cwd,
        env=clean_variables(),
        check=False,
    )
    if done.returncode:
        raise EnvironmentFailure(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def list_tests(suite: str = SUITE, *directories: Path) -> Suite:
    """List the tests of *suite* by an interpreter that knows no swap.

    Suites of our own are looked for in *directories*.
    """
    listing = str(INSIDE / "listing.py")
    paths = [str(path) for path in directories]
    output = _output_of([sys._base_executable, "-I", listing, suite, *paths])
    tests = []
    skipped = {}
    for entry in json.loads(output):
        if "skip" in entry:
            skipped[entry["module"]] = entry["skip"]
        else:
            entry["kind"] = entry.pop("class")
            tests.append(Listed(**entry))
    return Suite(tuple(tests), skipped)


def find_package(name: str) -> Path:
    """Where *name* is installed; a source tree on the path is not enough."""
    script = f"import {name}, {name}._native; print({name}.__path__[0])"
    try:
        return Path(_output_of([sys.executable, "-I", "-c", script]).strip())
    except EnvironmentFailure as failure:
        message = f"{name} is not installed for {sys.executable}"
        raise EnvironmentFailure(f"{message}\n{failure}") from None


def _make_environment(place: Path) -> Path:
    """Make a virtual environment at *place* and return its site-packages.

    It names the interpreter by its real path: 3.13 does not find its library
    through a link to one that has been moved, as `venv` would make it.
    """
    interpreter = Path(sys._base_executable).resolve()
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(interpreter)
    (place / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    base = {"base": str(place), "platbase": str(place)}
    site = Path(sysconfig.get_path("purelib", "venv", base))
    site.mkdir(parents=True)
    return site


class Environment:
    """The virtual environment, in a directory that is removed by `close`."""

    def __init__(self, target: str, *suites: Path) -> None:
        """Make it for the module *target*, with suites of our own, if any."""
        self._directory = tempfile.TemporaryDirectory(prefix="futures-c-conformance-")
        root = Path(self._directory.name)
        #: Where the processes run and leave their output; holds no source.
        self.work = root / "work"
        self.work.mkdir()
        place = root / "environment"
        site = _make_environment(place)
        self.python = place / "bin" / "python"
        self._install_runner(site, target)
        if target != STANDARD:
            self._install_swap(site, target)
        for suite in suites:
            shutil.copy(suite, site)

    @staticmethod
    def _install_runner(site: Path, target: str) -> None:
        ignored = shutil.ignore_patterns("__pycache__", "listing.py")
        shutil.copytree(INSIDE, site / PACKAGE, ignore=ignored)
        (site / PACKAGE / "target.py").write_text(f"TARGET = {target!r}\n")

    @staticmethod
    def _install_swap(site: Path, target: str) -> None:
        (site / target).symlink_to(find_package(target))
        start = f"{target}._startup"
        line = f"import {start}; {start}.install_later()\n"
        (site / f"{PACKAGE}.pth").write_text(line)
        # From 3.15 on this file is read, and the import line above is not.
        (site / f"{PACKAGE}.start").write_text(f"{start}:install_later\n")

    def run(self, *arguments: str) -> str:
        """The standard output of the environment's interpreter."""
        return _output_of([str(self.python), *arguments], self.work)

    def close(self) -> None:
        """Remove it."""
        self._directory.cleanup()
