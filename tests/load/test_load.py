"""Load at a hundredth of its size, and that its judgement is one.

The full size is a command: see __main__.py.
"""

import itertools
import random
from pathlib import Path

import pytest
from processes.kit import light_main

from load import cases
from load.growth import STEP, slope

#: Of the full size; starting processes by the thousand takes minutes.
SCALES = {"churn": 0.001, "process-run": 0.05}
SCALE = 0.01

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _light_main():
    """Workers that are started anew do not import pytest."""
    with light_main():
        yield


@pytest.mark.cap(300)
@pytest.mark.parametrize("name", cases.CASES)
def test_load(name):
    print(cases.CASES[name](SCALES.get(name, SCALE)))


@pytest.mark.parametrize(("run", "scale"), [("thread_run", 0.01), ("process_run", 0.1)])
def test_a_leak_of_a_hundred_bytes_a_task_is_seen(script, run, scale):
    """In a fresh process: what this one has freed has room for the whole leak."""
    outcome = script(
        f"""
        import sys, warnings
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from load import cases, jobs
        try:
            print(cases.{run}({scale}, function=jobs.Leak()))
        except AssertionError as error:
            print(error)
        """
    )
    assert "memory grows" in outcome.check().stdout


def test_a_number_that_is_lost_is_seen():
    numbers = itertools.count()

    def loses_one(number):
        return number + (next(numbers) >= 500)

    with pytest.raises(AssertionError):
        cases.thread_run(0.001, function=loses_one)


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_a_single_step_are_flat_and_a_rise_is_not(seed):
    rng = random.Random(seed)
    noise = [10**8 + rng.randrange(10**6) for _ in range(60)]
    assert slope(noise).flat
    assert slope([y + (STEP // 2 if x > 40 else 0) for x, y in enumerate(noise)]).flat
    assert slope([2 * 10**8 - y for y in noise]).flat
    assert not slope([y + 10**5 * x for x, y in enumerate(noise)]).flat
