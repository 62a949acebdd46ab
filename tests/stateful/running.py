"""How long random programs run, in CI and by hand."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import hypothesis
from hypothesis import Phase
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

#: Minutes that each test goes on for, with ever new seeds; 0: a few programs.
MINUTES = float(os.environ.get("FUTURES_C_STRESS", "0"))

#: Seconds after which a test of random programs counts as hung.
CAP = 90 + 90 * MINUTES


def run_machine(
    rng: random.Random,
    make: Callable[[], RuleBasedStateMachine],
    examples: int,
    steps: int,
) -> None:
    """Run so many programs of so many steps, or as many as there is time for."""
    settings = hypothesis.settings(
        max_examples=100 if MINUTES else examples,
        stateful_step_count=50 if MINUTES else steps,
        # Calls take what time they take, and a program is repeated by its seed.
        deadline=None,
        database=None,
        # To make a program that fails as short as it may be takes minutes.
        phases=[Phase.generate, Phase.shrink] if MINUTES else [Phase.generate],
        print_blob=True,
        # Programs are long and slow, since they start threads and processes.
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    end = time.monotonic() + 60 * MINUTES
    while True:
        seed = rng.randrange(2**32)
        print(f"programs: {seed}")
        run_state_machine_as_test(hypothesis.seed(seed)(make), settings=settings)
        if time.monotonic() >= end:
            return
