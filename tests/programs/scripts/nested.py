"""Pools whose tasks use pools."""

import importlib
import sys

concurrent_futures = importlib.import_module(sys.argv[1])


def cell(row, column):
    return row * column


def row_of(inner, row):
    return sum(future.result() for future in [
        inner.submit(cell, row, column) for column in range(10)
    ])


with (
    concurrent_futures.ThreadPoolExecutor(max_workers=3) as outer,
    concurrent_futures.ThreadPoolExecutor(max_workers=2) as inner,
):
    print(list(outer.map(row_of, [inner] * 8, range(8))))


def with_its_own_pool(number):
    with concurrent_futures.ThreadPoolExecutor(max_workers=2) as own:
        return list(own.map(cell, range(4), [number] * 4))


with concurrent_futures.ThreadPoolExecutor(max_workers=4) as executor:
    for line in executor.map(with_its_own_pool, range(5)):
        print(line)


def depth(executor, level):
    if level == 0:
        return ["bottom"]
    return [level, *executor.submit(depth, executor, level - 1).result()]


with concurrent_futures.ThreadPoolExecutor(max_workers=10) as executor:
    print(depth(executor, 8))


def tree(executor, node):
    """Futures of futures: nobody waits inside a task."""
    if node >= 8:
        return [node]
    return [node, executor.submit(tree, executor, 2 * node),
            executor.submit(tree, executor, 2 * node + 1)]


def flatten(value):
    for part in value:
        if hasattr(part, "result"):
            yield from flatten(part.result())
        else:
            yield part


with concurrent_futures.ThreadPoolExecutor(max_workers=1) as executor:
    print(list(flatten([executor.submit(tree, executor, 1)])))
