"""Operations on pools whose workers are not threads alone."""

from __future__ import annotations

import dataclasses
import os
import sys

import jobs
import scenes
from operations import HERE, OPERATIONS, Operation, ignore, operation
from workers import some

import futures_c
from futures_c import as_completed, wait

BIG = 300_000

# A call or a worker may meet the failure: then the pool is broken, and says so.
refusals = (RuntimeError, OSError)
fork = operation("fork", scenes.Processes, *refusals)
new = operation("fork", scenes.NewProcesses, *refusals)


@new
def create(scene):
    yield
    scene.pool = scene.make()


@new
def first_submit(scene):
    scene.pool = scene.make()
    yield
    scene.track(scene.pool.submit(abs, -3), 3)


@new
def first_map(scene):
    scene.pool = scene.make()
    yield
    list(scene.pool.map(abs, range(-5, 0)))


@fork
def submit(scene):
    yield
    for n in range(3):
        scene.track(scene.pool.submit(abs, -n), n)


@fork
def submit_and_get(scene):
    yield
    assert scene.track(scene.pool.submit(abs, -3), 3).result(20) == 3


@fork
def pickle_there_and_back(scene):
    yield
    future = scene.track(scene.pool.submit(jobs.same, {"a": [1]}), {"a": [1]})
    assert future.result(20) == {"a": [1]}


@fork
def reduce_there_and_back(scene):
    value = jobs.Reduced((1, 2))
    yield
    assert scene.track(scene.pool.submit(jobs.same, value), value).result(20) == value


@fork
def large_there_and_back(scene):
    value = bytearray(BIG)
    yield
    future = scene.track(scene.pool.submit(jobs.same, value), value)
    assert len(future.result(20)) == BIG


@fork
def large_bytes_back(scene):
    yield
    assert len(scene.pool.submit(bytes, BIG).result(20)) == BIG


@fork
def cannot_be_pickled(scene):
    yield
    future = scene.pool.submit(jobs.same, lambda: None)
    assert future.exception(20) is not None


@fork
def raise_something(scene):
    yield
    error = scene.pool.submit(jobs.fail, 1).exception(20)
    # Without memory to unpickle it, it is of no other type than what cannot be.
    broken = futures_c.BrokenExecutor
    assert isinstance(error, (ValueError, MemoryError, broken)), error


@fork
def map_plain(scene):
    yield
    assert list(scene.pool.map(abs, range(-50, 0))) == [*range(50, 0, -1)]


@fork
def map_pickled(scene):
    inputs = [[n] for n in range(20)]
    yield
    assert list(scene.pool.map(jobs.same, inputs, chunksize=3)) == inputs


@fork
def map_in_a_buffer(scene):
    yield
    list(scene.pool.map(jobs.same, [[n] for n in range(9)], buffersize=2))


@fork
def map_and_drop(scene):
    yield
    iterator = scene.pool.map(abs, range(-500, 0))
    next(iterator)
    del iterator


@fork
def complete(scene):
    futures = some(scene)
    yield
    assert len(list(as_completed(futures, 20))) == 4


@fork
def wait_for_all(scene):
    yield
    assert len(wait(some(scene), 20).done) == 4


@fork
def call_back(scene):
    yield
    for future in some(scene):
        future.add_done_callback(ignore)


@fork
def cancel_queued(scene):
    scene.occupy()
    futures = some(scene)
    yield
    for future in futures:
        future.cancel()


@fork
def shut_down(scene):
    some(scene)
    yield
    scene.pool.shutdown()


@fork
def shut_down_without_waiting(scene):
    some(scene)
    yield
    scene.pool.shutdown(wait=False)


@fork
def shut_down_and_cancel(scene):
    scene.occupy()
    some(scene)
    yield
    scene.pool.shutdown(wait=False, cancel_futures=True)


@fork
def drop(scene):
    some(scene)
    yield
    scene.pool = None


@fork
def look_at_the_pool(scene):
    yield
    repr(scene.pool)
    assert len(scene.pool._pending_work_items) == 0
    assert len(scene.pool._processes) == 1


@fork
def end_by_force(scene):
    from multiprocessing import active_children

    yield
    scene.pool._force_shutdown("kill")
    yield
    for child in active_children():
        # Also listed are those of the process that this one was forked from.
        if child._parent_pid == os.getpid():
            child.join(20)


# --- the worker's side --------------------------------------------------------

there = operation("there", scenes.Processes, *refusals, ValueError, rehearsed=False)


def plan_of(scene):
    return dataclasses.asdict(scene.plan)


def told_there(scene):
    """How it went in the worker: where that has ended, it met the failure."""
    try:
        scene.met = scene.pool.submit(jobs.disarm_here).result(20)
    except futures_c.BrokenExecutor:
        scene.met = (scene.plan.n + 1, 1)
    except (MemoryError, OSError):
        # That call met it.
        scene.met = (scene.plan.n + 1, 1)


@there
def return_a_value(scene):
    yield HERE
    scene.track(scene.pool.submit(jobs.arm_here, plan_of(scene), 3), 3)
    scene.track(scene.pool.submit(abs, -4), 4)
    told_there(scene)


@there
def return_an_object(scene):
    yield HERE
    scene.track(scene.pool.submit(jobs.arm_here, plan_of(scene), [3]), [3])
    scene.track(scene.pool.submit(jobs.same, {"a": [1]}), {"a": [1]})
    told_there(scene)


@there
def return_much(scene):
    value = b"x" * BIG
    yield HERE
    scene.track(scene.pool.submit(jobs.arm_here, plan_of(scene), value), value)
    scene.track(scene.pool.submit(jobs.same, value), value)
    scene.track(scene.pool.submit(jobs.same, [value]), [value])
    told_there(scene)


@there
def raise_there(scene):
    yield HERE
    scene.track(scene.pool.submit(jobs.arm_and_fail, plan_of(scene), 1))
    scene.track(scene.pool.submit(jobs.same, 1), 1)
    told_there(scene)


@there
def map_there(scene):
    inputs = [[n] for n in range(9)]
    yield HERE
    scene.track(scene.pool.submit(jobs.arm_here, plan_of(scene), 3), 3)
    try:
        assert list(scene.pool.map(jobs.same, inputs)) == inputs
        assert list(scene.pool.map(abs, range(-9, 0))) == [*range(9, 0, -1)]
    finally:
        told_there(scene)


# --- interpreters -------------------------------------------------------------

if sys.version_info >= (3, 12):
    from futures_c._crossing import NotShareableError

    # What cannot travel for lack of memory, cannot travel.
    refused = (RuntimeError, NotShareableError)
    inside = operation("interpreters", scenes.Interpreters, *refused, rehearsed=False)

    @operation("interpreters", scenes.NewInterpreters, *refused, rehearsed=False)
    def create_and_submit(scene):
        yield
        scene.pool = scene.make()
        scene.track(scene.pool.submit(abs, -3), 3)

    @inside
    def submit_plain(scene):
        yield
        assert scene.track(scene.pool.submit(abs, -3), 3).result(20) == 3

    @inside
    def submit_pickled(scene):
        yield
        future = scene.track(scene.pool.submit(list, ({"a": 1},)), [{"a": 1}])
        assert future.result(20)

    @inside
    def submit_code(scene):
        yield
        assert scene.track(scene.pool.submit(lambda n: n + 1, 3), 4).result(20) == 4

    @inside
    def share_memory(scene):
        if sys.version_info < (3, 13):
            return
        view = memoryview(bytearray(10))
        yield
        assert scene.track(scene.pool.submit(len, view), 10).result(20) == 10

    @inside
    def raise_inside(scene):
        yield
        error = scene.pool.submit(divmod, 1, 0).exception(20)
        right = (ZeroDivisionError, MemoryError, NotShareableError)
        assert isinstance(error, right), error

    @inside
    def end_interpreters(scene):
        yield
        scene.pool.shutdown()


# --- the other start methods --------------------------------------------------

#: What depends on how workers start.
OF_STARTS = (
    "create", "first_submit", "submit_and_get", "large_there_and_back", "shut_down",
    "drop", "end_by_force",
)  # fmt: skip


def _started_by(method: str, one: Operation) -> Operation:
    scene = type(one.scene.__name__, (one.scene,), {"method": method})
    return dataclasses.replace(one, scene=scene, rehearsed=False)


for _method in "spawn", "forkserver":
    OPERATIONS[_method] = {
        _name: _started_by(_method, OPERATIONS["fork"][_name]) for _name in OF_STARTS
    }
