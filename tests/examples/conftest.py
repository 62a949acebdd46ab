"""A local site with faults, and the examples run as people run them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from running import CAP, Site, finish, start_example
from support.subproc import Outcome

FAULTY_SITE = Path(__file__).with_name("faulty_site.py")
NEEDED = ("requests", "tqdm")


@pytest.fixture(scope="session", autouse=True)
def _libraries() -> None:
    """Say at once what is missing, and not once per example."""
    for name in NEEDED:
        importlib.import_module(name)


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a fresh site with faults."""
    with subprocess.Popen(
        [sys.executable, str(FAULTY_SITE)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Site(process)
        finally:
            process.kill()


@pytest.fixture
def example(futures: ModuleType) -> Callable[..., Outcome]:
    """Run an example on the module under test and wait for it."""

    def run(name: str, *args: str, cap: float = CAP) -> Outcome:
        return finish(start_example(name, *args, f"--module={futures.__name__}"), cap)

    return run
