"""Exceptions by result, exception, as_completed, wait and map."""

import importlib
import sys

concurrent_futures = importlib.import_module(sys.argv[1])


class TooLarge(Exception):
    pass


def work(number):
    if number == 3:
        raise TooLarge(number)
    if number == 0:
        raise ZeroDivisionError("by nothing")
    return 100 // number


with concurrent_futures.ThreadPoolExecutor(max_workers=3) as executor:
    future = executor.submit(work, 0)
    try:
        future.result()
    except ZeroDivisionError as exc:
        print("result raised", type(exc).__name__, exc)
    print("exception gave", type(future.exception()).__name__)
    print("a good one has none:", executor.submit(work, 5).exception())

    futures = {executor.submit(work, number): number for number in range(5)}
    lines = []
    for future in concurrent_futures.as_completed(futures):
        number = futures[future]
        try:
            lines.append(f"{number}: {future.result()}")
        except Exception as exc:
            lines.append(f"{number}: {type(exc).__name__}({exc})")
    print(*sorted(lines), sep="\n")

    results = executor.map(work, [5, 4, 3, 2, 1])
    try:
        for result in results:
            print("map gave", result)
    except TooLarge as exc:
        print("map raised", repr(exc))
    print("and has ended:", list(results))

    futures = [executor.submit(work, number) for number in (1, 2, 0)]
    done, not_done = concurrent_futures.wait(
        futures, return_when=concurrent_futures.FIRST_EXCEPTION
    )
    print(any(future.exception() for future in done))

    def chained():
        try:
            work(0)
        except ZeroDivisionError as exc:
            raise TooLarge("chained") from exc

    try:
        executor.submit(chained).result()
    except TooLarge as exc:
        print(repr(exc), "from", repr(exc.__cause__))

    for wrong in (5, None, "text"):
        print(repr(executor.submit(wrong).exception()))
    try:
        executor.submit()
    except TypeError as exc:
        print("submit without a function: TypeError")

try:
    executor.submit(work, 1)
except RuntimeError as exc:
    print(exc)
