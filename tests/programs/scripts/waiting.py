"""wait() with each of its conditions."""

import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

gates = {name: threading.Event() for name in "abc"}


def task(name, fail=False):
    gates[name].wait(20)
    if fail:
        raise ValueError(name)
    return name


def names(futures):
    return sorted(name for name, future in by_name.items() if future in futures)


with concurrent_futures.ThreadPoolExecutor(max_workers=3) as executor:
    by_name = {name: executor.submit(task, name, name == "b") for name in "abc"}
    futures = list(by_name.values())

    done, not_done = concurrent_futures.wait(futures, timeout=0.02)
    print(names(done), names(not_done))

    gates["a"].set()
    done, not_done = concurrent_futures.wait(
        futures, return_when=concurrent_futures.FIRST_COMPLETED
    )
    print(names(done), names(not_done))

    gates["b"].set()
    done, not_done = concurrent_futures.wait(
        futures, return_when=concurrent_futures.FIRST_EXCEPTION
    )
    print(names(done), names(not_done))

    gates["c"].set()
    result = concurrent_futures.wait(futures)
    print(names(result.done), names(result.not_done))
    print(concurrent_futures.ALL_COMPLETED, len(result))

    # Work that comes back in pieces: wait for one, hand in the next.
    pending = {executor.submit(pow, n, 2) for n in range(3)}
    upcoming = iter(range(3, 20))
    total = 0
    while pending:
        done, pending = concurrent_futures.wait(
            pending, return_when=concurrent_futures.FIRST_COMPLETED
        )
        for future in done:
            total += future.result()
            number = next(upcoming, None)
            if number is not None:
                pending.add(executor.submit(pow, number, 2))
    print(total, sum(n * n for n in range(20)))

try:
    concurrent_futures.wait([concurrent_futures.Future()], 0, "SOMETIMES")
except ValueError as exc:
    print(exc)
