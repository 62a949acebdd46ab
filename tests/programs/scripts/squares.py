"""Squares by submit: the first program of every tutorial."""

import importlib
import sys

concurrent_futures = importlib.import_module(sys.argv[1])


def square(number):
    return number * number


with concurrent_futures.ThreadPoolExecutor(max_workers=3) as executor:
    future = executor.submit(square, 12)
    print("12 squared is", future.result())

    futures = [executor.submit(square, number) for number in range(10)]
    print([future.result() for future in futures])

    futures = {number: executor.submit(square, number) for number in (7, 3, 5)}
    for number, future in sorted(futures.items()):
        print(number, future.done() or future.result() is not None, future.result())

    print(executor.submit(pow, 323, 1235).result() % 1000)
    print(executor.submit(int, "ff", base=16).result())
    print(executor.submit(lambda *args, **kwargs: (args, kwargs), 1, fn=2).result())
print("executor is shut down")
