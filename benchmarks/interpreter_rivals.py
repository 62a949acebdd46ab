"""The rivals of interpreter pools: the standard one, which came with 3.14."""

from __future__ import annotations

from typing import Any

from .meter import Skip
from .rivals import FuturesRival, Loop, Ours, Rival, Standard


class _Interpreters(FuturesRival):
    """A module with the interface of concurrent.futures, by its interpreter pool."""

    def open(self, workers: int) -> Any:
        try:
            make = self.module.InterpreterPoolExecutor
        except AttributeError as error:
            raise Skip(f"no interpreter pools: {error}") from error
        return make(workers)


class OurInterpreters(_Interpreters, Ours):
    """That of the package that is measured: from Python 3.12 on."""


class StandardInterpreters(_Interpreters, Standard):
    """That of the running interpreter: from Python 3.14 on."""


INTERPRETER_RIVALS: dict[str, type[Rival]] = {
    kind.name: kind for kind in (OurInterpreters, StandardInterpreters, Loop)
}
