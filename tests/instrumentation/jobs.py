"""What calls in worker processes do."""

import cProfile
import faulthandler
import logging
import multiprocessing
import os
import pstats
import sys
import tempfile
import traceback

SEEN = []


def inner(number):
    return number * 2


def outer(number):
    return inner(number) + 1


def failing(depth):
    if depth:
        return failing(depth - 1)
    raise LookupError("in a worker")


def profiled(number):
    """A call under cProfile: the result, and how often what was called."""
    profiler = cProfile.Profile()
    result = profiler.runcall(outer, number)
    stats = pstats.Stats(profiler).stats
    return result, {name: counts[1] for (_, _, name), counts in stats.items()}


class Keeping(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append((record.processName, record.process, record.threadName))


def logged():
    """What the record of a message in a worker says, and what is so."""
    logger, handler = logging.getLogger("jobs"), Keeping()
    logger.addHandler(handler)
    try:
        logger.warning("something")
    finally:
        logger.removeHandler(handler)
    (record,) = handler.records
    return record, multiprocessing.current_process().name, os.getpid()


def dumped():
    """What faulthandler writes of a worker in the middle of a call."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


def stack():
    """The names on the stack of a call, the outermost first."""
    return [one.name for one in traceback.extract_stack()]


def set_profile():
    """As an initializer: note the functions of this file from now on."""

    def profile(frame, event, arg):
        if event == "call" and frame.f_code.co_filename == __file__:
            SEEN.append(frame.f_code.co_name)

    sys.setprofile(profile)


def set_trace():
    def trace(frame, event, arg):
        if event == "call" and frame.f_code.co_filename == __file__:
            SEEN.append(frame.f_code.co_name)

    sys.settrace(trace)


def seen():
    return list(SEEN)
