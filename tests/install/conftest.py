"""Running python itself, to be compared with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import pytest
from support.subproc import Outcome, run_command


@pytest.fixture
def python() -> Callable[..., Outcome]:
    """Run the interpreter with the given arguments.

    *env* is added to the environment, from which nothing of ours is taken over.
    """

    def run(
        *args: str, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Outcome:
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "FUTURES_C"))
        }
        return run_command(
            [sys.executable, *args], {**environ, **(env or {})}, stdin=stdin
        )

    return run
