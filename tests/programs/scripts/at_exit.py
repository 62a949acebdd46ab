"""Work that is left when the program ends is done before it ends."""

import atexit
import importlib
import sys
import time

concurrent_futures = importlib.import_module(sys.argv[1])


def work(number):
    time.sleep(0.01)
    print("task", number)


executor = concurrent_futures.ThreadPoolExecutor(max_workers=1)
for number in range(5):
    executor.submit(work, number)
atexit.register(print, "the functions of atexit")
concurrent_futures.ThreadPoolExecutor(1).submit(int)
print("the end of the script")
