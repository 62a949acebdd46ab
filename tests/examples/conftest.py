"""A local site with faults, and the examples run as people run them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from running import CAP, IMAGES, WIDTH, Site, finish, served, start_example
from support.subproc import Outcome

NEEDED = ("PIL", "requests", "tqdm")


@pytest.fixture(scope="session", autouse=True)
def _libraries() -> None:
    """Say at once what is missing, and not once per example."""
    for name in NEEDED:
        importlib.import_module(name)


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a fresh site with faults."""
    with served() as found:
        yield found


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the demo's images, small: do not write there."""
    folder = tmp_path_factory.mktemp("drawn")
    size = (f"--images={IMAGES}", f"--width={WIDTH}")
    finish(start_example("demo_drawing.py", str(folder), *size)).check()
    return folder


@pytest.fixture
def example(futures: ModuleType) -> Callable[..., Outcome]:
    """Run an example on the module under test and wait for it."""

    def run(name: str, *args: str, cap: float = CAP) -> Outcome:
        return finish(start_example(name, *args, f"--module={futures.__name__}"), cap)

    return run
