"""Operations that are wrong when an allocation fails: each has to be found."""

from __future__ import annotations

import ctypes
import os
import threading

import scenes
from operations import operation

from futures_c import Future

planted = operation("planted", scenes.Threads, rehearsed=False)


def fails() -> bool:
    """Whether memory has run out just now."""
    try:
        Future()
    except MemoryError:
        return True
    return False


@planted
def lose_a_future(scene):
    future = scene.track(Future(), 1)
    yield
    if not fails():
        future.set_result(1)


@planted
def leave_a_thread(scene):
    yield
    if fails():
        threading.Thread(target=threading.Event().wait, daemon=True).start()


@planted
def leave_a_descriptor(scene):
    yield
    if fails():
        os.dup(1)


@planted
def raise_something_else(scene):
    yield
    if fails():
        raise TypeError("planted")


@planted
def keep_a_lock(scene):
    """What a way out without an unlock does."""
    lock = threading.Lock()
    yield
    lock.acquire()
    if not fails():
        lock.release()
    with lock:
        pass


@planted
def crash(scene):
    """What a result does that nobody compared with NULL."""
    yield
    if fails():
        ctypes.string_at(0)


@planted
def break_the_pool(scene):
    yield
    if fails():
        scene.pool.submit = lambda *args: (future := Future()).set_result(0) or future
