"""Tasks of random length, taken by as_completed as they end."""

import importlib
import random
import sys
import time

concurrent_futures = importlib.import_module(sys.argv[1])

numbers = random.Random(2026)
delays = [0.1 * place for place in range(6)]
numbers.shuffle(delays)


def sleep_a_while(name, delay):
    time.sleep(delay)
    return f"task {name} slept {delay:.1f} s"


with concurrent_futures.ThreadPoolExecutor(max_workers=len(delays)) as executor:
    futures = {
        executor.submit(sleep_a_while, name, delay): name
        for name, delay in enumerate(delays)
    }
    for future in concurrent_futures.as_completed(futures):
        print(futures[future], future.result())

    print("and in the order of submission:")
    for line in executor.map(sleep_a_while, "abcdef", delays):
        print(line)
