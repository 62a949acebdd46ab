"""Counting words: map, then reduce, with a lock and without."""

import collections
import functools
import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "the dog sleeps and the fox runs",
    "a fox is a fox is a fox",
] * 50


def count(text):
    return collections.Counter(text.split())


with concurrent_futures.ThreadPoolExecutor(max_workers=4) as executor:
    total = functools.reduce(lambda a, b: a + b, executor.map(count, TEXTS))
    print(total.most_common(3))

    shared, lock = collections.Counter(), threading.Lock()

    def count_shared(text):
        for word in text.split():
            with lock:
                shared[word] += 1

    for future in [executor.submit(count_shared, text) for text in TEXTS]:
        future.result()
    print(shared == total, sum(shared.values()))
