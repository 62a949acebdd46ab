"""Fixtures of random programs, beside those of tests/conftest.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import InvalidStateError
from pathlib import Path

import hypothesis.configuration
import pytest
from processes.kit import light_main

from . import jobs
from .pools import Pool


@pytest.fixture(scope="session", autouse=True)
def _nothing_in_the_tree(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what hypothesis stores out of the checkout."""
    hypothesis.configuration.set_hypothesis_home_dir(
        tmp_path_factory.mktemp("hypothesis")
    )


@pytest.fixture(autouse=True)
def _places(tmp_path: Path) -> Iterator[None]:
    """Have a place for journals and gates; spawned workers do not import pytest."""
    Pool.directory = tmp_path
    with light_main():
        yield


class _Expected(logging.Filter):
    """Lets through what programs should not bring about, and keeps its text.

    The others are dropped: what catches logs for pytest would keep, with their
    tracebacks, the frames of the program and all that these refer to.
    """

    #: The beginnings of what programs bring about, with what else has to be so.
    LINES = {
        "exception calling callback for": jobs.Trouble,
        "Exception in initializer:": Exception,
        # A worker finds that another thread has ended the future.
        "Exception in worker": InvalidStateError,
    }

    def __init__(self, also: tuple[str, ...]) -> None:
        super().__init__()
        self.also = also
        self.others: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg.startswith(self.also):
            return False
        for line, kind in self.LINES.items():
            if record.msg.startswith(line) and record.exc_info:
                if isinstance(record.exc_info[1], kind):
                    return False
        self.others.append(f"{record.getMessage()} {record.exc_info}")
        return True


@pytest.fixture(autouse=True)
def _log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail unless everything that was logged is what programs bring about."""
    expected = _Expected(getattr(request.module, "ALSO_LOGGED", ()))
    logger = logging.getLogger("concurrent.futures")
    logger.addFilter(expected)
    yield
    logger.removeFilter(expected)
    assert not expected.others
