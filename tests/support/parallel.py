"""Tests whose function runs in several threads at once, by pytest-run-parallel.

    pytest -m "not stress and not slow" --parallel-threads=4 --iterations=2 tests/loops

The plugin calls a test's function so often, in so many threads, with the same
values of its fixtures; set-up, the cap and the look at what is left stay around
all of these calls.  That does for most tests.  For the others:

- `fresh` makes a fixture of which each call gets a value of its own;
- a test that takes a fixture from `SHARED`, or is marked
  ``thread_unsafe(reason="...")``, is called once, in one thread.

Without the plugin, or without its options, nothing of this has any effect.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FunctionType
from typing import Any

import pytest

#: Fixtures that are there once, with the reason why their tests run alone.
SHARED = {
    "caplog": "reads what all threads log",
    "capfd": "reads what all threads write",
    "capsys": "reads what all threads write",
    "monkeypatch": "changes what all threads see",
    "no_collector": "turns the collector off, and watches what is freed",
    "no_gc": "turns the collector off, and watches what is freed",
    "script": "what it looks at happens in a process of its own",
    "short_interval": "changes the switch interval",
}

#: In the names of tests that start processes.  In a child that is forked without
#: a GIL, an object that another thread held at that moment stays locked for ever.
FORKS = ("process", "unpickled")

_fresh: set[str] = set()
_on = False


class _Later:
    """The value of a fixture that each call makes for itself."""

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self.make = make


def fresh(function: Callable[..., Iterator[Any]]) -> Any:
    """Make a fixture that gives each call of a test a value of its own."""
    name: str = getattr(function, "__name__")  # noqa: B009
    _fresh.add(name)

    @functools.wraps(function)
    def fixture(**arguments: Any) -> Iterator[Any]:
        if _on:
            yield _Later(functools.partial(contextmanager(function), **arguments))
        else:
            yield from function(**arguments)

    return pytest.fixture(fixture)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Call a test's function with values of its own."""
    with ExitStack() as stack:
        for name, value in arguments.items():
            if isinstance(value, _Later):
                arguments[name] = stack.enter_context(value.make())
        function(**arguments)


def _with_values(function: FunctionType) -> FunctionType:
    """Return *function* as the plugin is to see it."""
    call_with_values = _call

    def call(**arguments: Any) -> None:
        call_with_values(function, arguments)

    # The plugin looks at what a test calls, by the names of its module.
    code, cells = call.__code__, call.__closure__
    made = FunctionType(code, function.__globals__, function.__name__, None, cells)
    return functools.update_wrapper(made, function)  # type: ignore[return-value]


def prepare(config: pytest.Config) -> None:
    """Find out whether tests are to run in several threads."""
    global _on
    _on = str(config.getoption("parallel_threads", 1)) != "1"


def arrange(items: list[pytest.Item], alone: Callable[[pytest.Item], bool]) -> None:
    """Prepare tests for several threads, or for one: where *alone* says so, too."""
    if not _on:
        return
    for item in items:
        names = getattr(item, "fixturenames", ())
        reasons = [SHARED[name] for name in names if name in SHARED]
        if any(word in item.name.lower() for word in FORKS):
            reasons.append("forks, while other threads run")
        if alone(item):
            reasons.append("runs in a process of its own")
        if reasons:
            item.add_marker(pytest.mark.thread_unsafe(reason=reasons[0]))
        if item.get_closest_marker("thread_unsafe") is not None:
            item.add_marker(pytest.mark.iterations(1))
        if not _fresh.isdisjoint(names):
            assert isinstance(item, pytest.Function)
            item.obj = _with_values(item.obj)
