"""map with one, two and three inputs."""

import importlib
import math
import operator
import sys

concurrent_futures = importlib.import_module(sys.argv[1])

values = [2, 3, 4, 5]

with concurrent_futures.ThreadPoolExecutor(max_workers=4) as executor:
    print(list(executor.map(math.sqrt, [1, 4, 9, 16])))
    print(list(executor.map(pow, values, [10, 7, 5, 4])))
    print(list(executor.map(lambda a, b, c: a + b * c, values, values, range(100))))
    print(list(executor.map(operator.mul, "abc", [1, 2, 3])))
    for value, result in zip(values, executor.map(math.factorial, values)):
        print(f"{value}! = {result}")
    print(sum(executor.map(len, "the quick brown fox".split())))
    print(dict(zip("abc", executor.map(str.upper, "abc"))))
    print(max(executor.map(abs, range(-50, 20))))
