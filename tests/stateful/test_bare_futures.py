"""Random programs on bare futures, on ours and on the standard ones at once.

Nothing runs beside the program, so that both answer each question in the same way:
the same value, or an exception of the same type that says the same.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import re
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

import futures_c

from .jobs import Trouble
from .running import run_machine

pytestmark = pytest.mark.stress

#: By set_running_or_notify_cancel() of a future that has ended or runs.
ALSO_LOGGED = ("Future %s in unexpected state",)

MODES = st.sampled_from(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"])


class Twins:
    """A future of each module, and the callbacks that each has called."""

    def __init__(self, number: int, ours: type) -> None:
        self.number = number
        self.both = (concurrent.futures.Future(), ours())
        self.called: tuple[list, list] = ([], [])


class BareMachine(RuleBasedStateMachine):
    """Does the same to both, and compares what comes of it."""

    a_twin: Bundle[Twins] = Bundle("twins")

    def __init__(self, ours: type) -> None:
        super().__init__()
        self.ours = ours
        self.numbers = itertools.count()
        self.twins: list[Twins] = []

    def told(self, ask: Any, *args: Any) -> str:
        """What an answer says: without addresses, and futures by their numbers."""
        try:
            answer = ask(*args)
        except BaseException as error:
            answer = type(error), str(error)
        return re.sub(r"0x[0-9a-f]+", "0x", repr(answer))

    def same(self, ask: Any) -> None:
        """Fail unless both futures of each pair are answered alike by `ask(which)`."""
        standard, own = (self.told(ask, which) for which in (0, 1))
        assert own == standard
        for twins in self.twins:
            assert twins.called[0] == twins.called[1]
            assert len({future._state for future in twins.both}) == 1

    @rule(target=a_twin)
    def make(self) -> Twins:
        twins = Twins(next(self.numbers), self.ours)
        self.twins.append(twins)
        return twins

    @rule(twins=a_twin, name=st.sampled_from(["cancel", "cancelled", "running", "done",
          "set_running_or_notify_cancel", "__repr__"]))  # fmt: skip
    def ask(self, twins: Twins, name: str) -> None:
        self.same(lambda which: getattr(twins.both[which], name)())

    @rule(twins=a_twin, name=st.sampled_from(["result", "exception"]))
    def wait_for(self, twins: Twins, name: str) -> None:
        self.same(lambda which: getattr(twins.both[which], name)(0))

    @rule(twins=a_twin, value=st.sampled_from([None, 0, "value", [1]]))
    def set_result(self, twins: Twins, value: Any) -> None:
        self.same(lambda which: twins.both[which].set_result(value))

    @rule(twins=a_twin, error=st.sampled_from([Trouble("no"), KeyError(1), None]))
    def set_exception(self, twins: Twins, error: Any) -> None:
        self.same(lambda which: twins.both[which].set_exception(error))

    @rule(twins=a_twin, what=st.sampled_from(["note", "raise", "add", "cancel"]))
    def add_callback(self, twins: Twins, what: str) -> None:
        number = next(self.numbers)

        def add(which: int, again: bool = False) -> None:
            def called(future: Any) -> None:
                twins.called[which].append((number, again, future._state))
                if what == "add" and not again:
                    add(which, True)
                elif what == "cancel":
                    for other in self.twins[:2]:
                        twins.called[which].append(other.both[which].cancel())
                elif what == "raise":
                    raise Trouble("in a callback")

            twins.both[which].add_done_callback(called)

        self.same(add)

    @rule(some=st.lists(a_twin, max_size=5), mode=MODES)
    def wait(self, some: list, mode: str) -> None:
        def ask(which: int) -> Any:
            module = (concurrent.futures, futures_c)[which]
            done, rest = module.wait([t.both[which] for t in some], 0, mode)
            return [
                sorted({t.number for t in some if t.both[which] in which_ones})
                for which_ones in (done, rest)
            ]

        self.same(ask)

    @rule(some=st.lists(a_twin, max_size=5), take=st.integers(0, 5))
    def as_completed(self, some: list, take: int) -> None:
        def ask(which: int) -> Any:
            module = (concurrent.futures, futures_c)[which]
            iterator = module.as_completed([t.both[which] for t in some], 0)
            end, seen = None, []
            try:
                for future in itertools.islice(iterator, take):
                    seen.append(future)
            except TimeoutError as error:
                end = str(error)
            # Which comes first, the standard one leaves to a set.
            return end, len(seen), all(future.done() for future in seen)

        self.same(ask)


def test_both_answer_alike(rng, request):
    if request.config.getoption("--only") == "standard":
        pytest.skip("compares futures_c with the standard module")
    run_machine(rng, lambda: BareMachine(futures_c.Future), 60, 40)


class Forgetful(futures_c.Future):
    """Loses the second callback of those that are added."""

    count = 0

    def add_done_callback(self, fn):
        self.count += 1
        if self.count != 2:
            super().add_done_callback(fn)


class Stubborn(futures_c.Future):
    """Cannot be cancelled when it has a callback."""

    def cancel(self):
        return not self._done_callbacks and super().cancel()


@pytest.mark.parametrize("wrong", [Forgetful, Stubborn])
def test_what_differs_is_found(rng, wrong):
    with pytest.raises(AssertionError):
        run_machine(rng, lambda: BareMachine(wrong), 200, 40)
