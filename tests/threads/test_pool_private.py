"""The private names that programs use all the same.

Every one of them is touched by CPython's own tests or by packages in wide use.
"""

import concurrent.futures
import contextvars
import functools
import queue
import sys
import threading
import weakref

import pytest
from support.parallel import fresh
from support.waiting import collected, until

NEW_CONTEXTS = sys.version_info >= (3, 14)


@fresh
def gate():
    event = threading.Event()
    yield event
    event.set()


def test_attributes_of_a_new_executor(futures):
    pool = futures.ThreadPoolExecutor(3, "prefix", initializer=abs, initargs=(1,))
    assert pool._max_workers == 3
    assert pool._shutdown is False
    assert pool._broken is False
    assert pool._threads == set() and len(pool._threads) == 0
    assert pool._thread_name_prefix == "prefix"
    assert pool._work_queue.qsize() == 0
    assert pool._work_queue.empty() is True
    if not NEW_CONTEXTS:
        assert pool._initializer is abs and pool._initargs == (1,)
    assert callable(pool._counter)
    with pool._shutdown_lock:
        pass
    pool.shutdown()
    assert pool._shutdown is True


def test_the_length_of_the_queue(futures, gate):
    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        for count in range(10):
            assert pool._work_queue.qsize() == count
            assert pool._work_queue.empty() is (count == 0)
            pool.submit(abs, 1)
        gate.set()
        until(lambda: pool._work_queue.qsize() == 0)
        assert pool._work_queue.empty()


def test_mapped_items_count_in_the_length_of_the_queue(futures, gate):
    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        mapped = pool.map(abs, range(10))
        assert pool._work_queue.qsize() == 10
        gate.set()
        assert list(mapped) == list(range(10))
        until(lambda: pool._work_queue.qsize() == 0)


def test_a_pending_item_can_be_taken_off_the_queue(futures, gate):
    """People drain the queue by hand to cancel what is pending."""
    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        pending = [pool.submit(abs, -i) for i in range(5)]
        taken = [pool._work_queue.get_nowait() for _ in range(2)]
        taken += [pool._work_queue.get(), pool._work_queue.get(block=False)]
        taken += [pool._work_queue.get(timeout=5)]
        assert [item.future for item in taken] == pending
        with pytest.raises(queue.Empty):
            pool._work_queue.get_nowait()
        with pytest.raises(queue.Empty):
            pool._work_queue.get(block=False)
        with pytest.raises(queue.Empty):
            pool._work_queue.get(timeout=0.01)
        for item in taken:
            assert item.future.cancel()
        gate.set()
    assert all(future.cancelled() for future in pending)


@pytest.mark.fault("the worker logs an error and ends", cap=3)
@pytest.mark.parametrize("condition", [False, True], ids=["native", "condition"])
def test_a_task_that_was_ended_from_outside_is_passed_over(
    futures, gate, caplog, condition
):
    class Thing:
        pass

    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        thing = Thing()
        reference = weakref.ref(thing)
        future = pool.submit(id, thing)
        if condition:
            future._condition  # noqa: B018
        future.set_result("outside")
        del thing
        gate.set()
        assert pool.submit(abs, -1).result(20) == 1
        assert future.result() == "outside"
    collected(reference)
    assert caplog.records == []


@pytest.mark.stress
def test_private_attributes_from_several_threads(futures):
    with futures.ThreadPoolExecutor(1000) as pool:
        stop = threading.Event()
        wrong = []

        def read():
            while not stop.is_set():
                if not 1000 <= pool._max_workers < 4000:
                    wrong.append(pool._max_workers)
                assert pool._work_queue is not None
                assert pool._broken is False
                assert pool._shutdown is False

        readers = [threading.Thread(target=read) for _ in range(2)]
        for thread in readers:
            thread.start()
        for number in range(20_000):
            pool._max_workers = 1000 + number % 3000
        stop.set()
        for thread in readers:
            thread.join()
        assert wrong == []
        assert pool.submit(abs, -1).result(20) == 1


def run_item(item):
    """Call run() of a work item as the running version does."""
    if not NEW_CONTEXTS:
        return item.run()
    return item.run(concurrent.futures.thread.WorkerContext(None, ()))


def test_an_item_can_be_run_by_whoever_took_it(futures, gate):
    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        good = pool.submit(abs, -1)
        bad = pool.submit(int, "x")
        cancelled = pool.submit(abs, -1)
        cancelled.cancel()
        while True:
            try:
                run_item(pool._work_queue.get_nowait())
            except queue.Empty:
                break
        assert good.result(0) == 1
        assert isinstance(bad.exception(0), ValueError)
        assert cancelled.cancelled()
        gate.set()


def test_an_item_can_be_put_back(futures, gate):
    with futures.ThreadPoolExecutor(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        pending = [pool.submit(abs, -i) for i in range(3)]
        items = [pool._work_queue.get_nowait() for _ in range(3)]
        for item in reversed(items):
            pool._work_queue.put(item)
        gate.set()
        assert [future.result(20) for future in pending] == [0, 1, 2]


class Item:
    """A work item of one's own, as packages put them on the queue."""

    def __init__(self):
        self.ran = threading.Event()
        self.future = concurrent.futures.Future()

    def run(self, context=None):
        self.ran.set()


def test_an_item_of_ones_own_is_run(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(abs, 1).result()
        item = Item()
        pool._work_queue.put(item)
        assert item.ran.wait(20)
        assert pool.submit(abs, -2).result(20) == 2


def test_none_on_the_queue_of_a_live_pool_does_no_harm(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(abs, 1).result()
        for _ in range(3):
            pool._work_queue.put(None)
        assert [pool.submit(abs, -i).result(20) for i in range(20)] == list(range(20))


def use_it(pool, futures):
    """What programs do with a pool, whatever its queue is."""
    pending = [pool.submit(abs, -i) for i in range(30)]
    assert [future.result(20) for future in pending] == list(range(30))
    assert list(pool.map(abs, range(-9, 0), timeout=20)) == list(range(9, 0, -1))
    barrier = threading.Barrier(pool._max_workers)
    futures.wait([pool.submit(barrier.wait, 20) for _ in range(pool._max_workers)])
    assert isinstance(pool.submit(int, "x").exception(20), ValueError)


@pytest.mark.parametrize(
    "make", [queue.Queue, queue.SimpleQueue, queue.LifoQueue, lambda: queue.Queue(1000)]
)
def test_a_replaced_queue_is_used(futures, make):
    pool = futures.ThreadPoolExecutor(3)
    pool._work_queue = make()
    with pool:
        use_it(pool, futures)
        assert all(thread.is_alive() for thread in pool._threads)


def test_a_subclass_replaces_the_queue(futures):
    """A bounded queue makes submit wait: the usual recipe for back-pressure."""

    class Bounded(futures.ThreadPoolExecutor):
        def __init__(self, workers):
            super().__init__(workers)
            self._work_queue = queue.Queue(maxsize=workers)

    with Bounded(2) as pool:
        use_it(pool, futures)
    gate = threading.Event()
    with Bounded(1) as pool:
        entered = threading.Event()
        pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        pool.submit(abs, 1)
        assert pool._work_queue.full()
        opener = threading.Timer(0.05, gate.set)
        opener.start()
        pool.submit(abs, 1)
        assert gate.is_set()
        opener.join()


def test_shutdown_of_a_pool_with_a_replaced_queue(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    pool._work_queue = queue.Queue()
    entered = threading.Event()
    pool.submit(lambda: (entered.set(), gate.wait(30)))
    assert entered.wait(20)
    pending = [pool.submit(abs, 1) for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    gate.set()
    pool.shutdown()


def test_a_priority_queue_orders_the_tasks(futures, gate):
    """Priority executors wrap the work items that submit puts."""

    class Ordered(queue.PriorityQueue):
        count = 0

        def put(self, item, *args):
            self.count += 1
            rank = (0, 0) if item is None else (1, -self.count)
            if self.count == 1:
                rank = (-1, 0)
            super().put((*rank, id(item), item))

        def get(self, *args, **kwargs):
            return super().get(*args, **kwargs)[-1]

        def get_nowait(self):
            return super().get_nowait()

    ran = []
    pool = futures.ThreadPoolExecutor(1)
    pool._work_queue = Ordered()
    entered = threading.Event()
    pool.submit(lambda: (entered.set(), gate.wait(30)))
    assert entered.wait(20)
    pending = [pool.submit(ran.append, i) for i in range(5)]
    gate.set()
    futures.wait(pending, 20)
    pool.shutdown()
    assert ran == [4, 3, 2, 1, 0]


def test_shutdown_may_be_assigned(futures):
    pool = futures.ThreadPoolExecutor(1)
    pool._shutdown = True
    with pytest.raises(
        RuntimeError, match=r"^cannot schedule new futures after shutdown$"
    ):
        pool.submit(abs, 1)
    pool._shutdown = False
    assert pool.submit(abs, -1).result(20) == 1
    pool.shutdown()


def test_broken_may_be_assigned(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pool._broken = "out of order"
        with pytest.raises(futures.thread.BrokenThreadPool, match=r"^out of order$"):
            pool.submit(abs, 1)
        with pytest.raises(futures.thread.BrokenThreadPool, match=r"^out of order$"):
            list(pool.map(abs, [1]))
        pool._broken = False
        assert pool.submit(abs, -1).result(20) == 1


def test_max_workers_may_be_raised(futures):
    """Pools that grow: people assign _max_workers."""
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(abs, 1).result()
        pool._max_workers = 4
        barrier = threading.Barrier(4)
        pending = [pool.submit(barrier.wait, 20) for _ in range(4)]
        assert sorted(f.result(20) for f in pending) == [0, 1, 2, 3]
        assert len(pool._threads) == 4


def test_the_shutdown_lock_can_be_taken(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        with pool._shutdown_lock:
            assert pool._shutdown_lock.locked()
            assert not pool._shutdown
        assert pool.submit(abs, -1).result(20) == 1


def test_the_idle_semaphore_is_there(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(abs, 1).result()
        assert isinstance(pool._idle_semaphore, threading.Semaphore)
        assert pool._idle_semaphore._value >= 0
        pool._idle_semaphore.release()
        assert pool._idle_semaphore.acquire(timeout=5)
        assert pool.submit(abs, -2).result(20) == 2


def test_the_set_of_threads_can_be_walked_while_it_grows(futures, gate):
    with futures.ThreadPoolExecutor(20) as pool:
        for count in range(1, 21):
            pool.submit(gate.wait, 30)
            assert len(list(pool._threads)) == count
            assert {t.name.rpartition("_")[2] for t in pool._threads} == {
                str(i) for i in range(count)
            }
        gate.set()


def test_the_threads_are_found_by_their_queue(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(abs, 1).result()
        (thread,) = pool._threads
        assert futures.thread._threads_queues[thread] is pool._work_queue


def test_an_overridden_adjust_thread_count_is_called(futures):
    calls = []

    class Own(futures.ThreadPoolExecutor):
        def _adjust_thread_count(self):
            calls.append(len(self._threads))
            super()._adjust_thread_count()

    with Own(2) as pool:
        assert pool.submit(abs, -1).result(20) == 1
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        use_it(pool, futures)
    assert calls[0] == 0 and len(calls) > 3


def worker_arguments(pool, reference):
    """Arguments of the standard worker function of the running version."""
    if NEW_CONTEXTS:
        return (reference, pool._create_worker_context(), pool._work_queue)
    return (reference, pool._work_queue, pool._initializer, pool._initargs)


@pytest.mark.parametrize("daemon", [True, False])
def test_a_subclass_starts_the_standard_worker_itself(futures, daemon):
    """As people write a pool of daemon threads."""

    class Daemons(futures.ThreadPoolExecutor):
        def _adjust_thread_count(self):
            if self._idle_semaphore.acquire(timeout=0):
                return

            def weakref_cb(_, q=self._work_queue):
                q.put(None)

            num_threads = len(self._threads)
            if num_threads < self._max_workers:
                thread = threading.Thread(
                    name=f"{self._thread_name_prefix or self}_{num_threads}",
                    target=concurrent.futures.thread._worker,
                    args=worker_arguments(self, weakref.ref(self, weakref_cb)),
                    daemon=daemon,
                )
                thread.start()
                self._threads.add(thread)

    seen = []
    with Daemons(3, "own", initializer=seen.append, initargs=(1,)) as pool:
        use_it(pool, futures)
        worker = pool.submit(threading.current_thread).result(20)
        assert worker.daemon is daemon and worker.name.startswith("own_")
        assert 1 <= len(seen) <= 3
        threads = list(pool._threads)
    assert not any(thread.is_alive() for thread in threads)


def test_a_subclass_with_its_own_worker_function(futures):
    """It reads the queue until None, as the standard worker does."""
    served = []

    def serve(work_queue):
        while True:
            item = work_queue.get(block=True)
            if item is None:
                work_queue.put(None)
                return
            served.append(item.future)
            run_item(item)

    class Own(futures.ThreadPoolExecutor):
        def _adjust_thread_count(self):
            if not self._threads:
                thread = threading.Thread(target=serve, args=(self._work_queue,))
                thread.start()
                self._threads.add(thread)

    with Own(1) as pool:
        pending = [pool.submit(abs, -i) for i in range(10)]
        assert [future.result(20) for future in pending] == list(range(10))
        assert list(pool.map(abs, [-1, -2], timeout=20)) == [1, 2]
    assert served[:10] == pending


@pytest.mark.thread_unsafe(reason="replaces a method of the class")
def test_submit_patched_on_the_class(futures):
    """As tracing tools do it; and taken back."""
    cls = futures.ThreadPoolExecutor
    original = cls.submit
    calls = []

    @functools.wraps(original)
    def wrapper(self, fn, /, *args, **kwargs):
        calls.append(fn)
        return original(self, fn, *args, **kwargs)

    own = "submit" in vars(cls)
    cls.submit = wrapper
    try:
        with cls(2) as pool:
            assert pool.submit(abs, -1).result() == 1
            assert list(pool.map(abs, [-2, -3])) == [2, 3]
            assert calls == [abs] * 3
            calls.clear()
    finally:
        if own:
            cls.submit = original
        else:
            del cls.submit
    with cls(2) as pool:
        assert pool.submit(abs, -1).result() == 1
        assert list(pool.map(abs, [-2, -3])) == [2, 3]
    assert calls == []


@pytest.mark.thread_unsafe(reason="replaces a method of the class")
def test_submit_patched_on_the_class_while_pools_exist(futures):
    cls = futures.ThreadPoolExecutor
    original = cls.submit
    own = "submit" in vars(cls)
    calls = []
    with cls(1) as pool:
        assert list(pool.map(abs, [-1])) == [1]
        cls.submit = lambda self, fn, /, *args: (
            calls.append(args) or original(self, fn, *args)
        )
        try:
            assert list(pool.map(abs, [-2, -3])) == [2, 3]
            assert pool.submit(abs, -4).result() == 4
        finally:
            if own:
                cls.submit = original
            else:
                del cls.submit
        assert list(pool.map(abs, [-5])) == [5]
    assert calls == [(-2,), (-3,), (-4,)]


def test_submit_patched_on_an_instance(futures):
    calls = []
    with futures.ThreadPoolExecutor(1) as pool, futures.ThreadPoolExecutor(1) as other:
        original = pool.submit

        def wrapper(fn, /, *args, **kwargs):
            calls.append(args)
            return original(fn, *args, **kwargs)

        pool.submit = wrapper
        assert pool.submit(abs, -1).result() == 1
        assert list(pool.map(abs, [-2, -3])) == [2, 3]
        assert list(other.map(abs, [-4])) == [4]
        assert calls == [(-1,), (-2,), (-3,)]
        del pool.submit
        assert list(pool.map(abs, [-4])) == [4]
        assert len(calls) == 3


def test_a_submit_that_returns_futures_of_another_kind(futures):
    """map takes whatever submit gives it, standard futures for example."""

    class Inline(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            future = concurrent.futures.Future()
            future.set_result(fn(*args, **kwargs))
            return future

    with Inline(1) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert not pool._threads


def test_a_subclass_that_carries_context_variables(futures):
    variable = contextvars.ContextVar("variable", default="unset")

    class ContextExecutor(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            context = contextvars.copy_context()
            return super().submit(context.run, fn, *args, **kwargs)

    def read(*_):
        return variable.get()

    before = variable.set("outer")
    with ContextExecutor(2) as pool:
        assert pool.submit(read).result() == "outer"
        variable.set("changed")
        assert list(pool.map(read, range(3))) == ["changed"] * 3
    with futures.ThreadPoolExecutor(1) as pool:
        inherits = getattr(sys.flags, "thread_inherit_context", 0)
        assert pool.submit(read).result() == ("changed" if inherits else "unset")
    # The context of the main thread would keep the variable.
    variable.reset(before)


@pytest.mark.thread_unsafe(reason="replaces a method of the class")
def test_a_wrapper_object_in_place_of_submit(futures):
    """As wrapt does it: a descriptor on the class that is no function."""
    cls = futures.ThreadPoolExecutor
    original = cls.submit
    own = "submit" in vars(cls)
    seen = []

    class Bound:
        def __init__(self, function, instance):
            self.function, self.instance = function, instance

        def __call__(self, *args, **kwargs):
            seen.append(self.instance)
            return self.function(*args, **kwargs)

    class Wrapper:
        __wrapped__ = original

        def __get__(self, instance, owner):
            return Bound(original.__get__(instance, owner), instance)

    cls.submit = Wrapper()
    try:
        with cls(1) as pool:
            assert pool.submit(abs, -1).result() == 1
            assert list(pool.map(abs, [-2])) == [2]
            assert seen == [pool, pool]
    finally:
        if own:
            cls.submit = original
        else:
            del cls.submit


def test_map_overridden_in_a_subclass(futures):
    class Counting(futures.ThreadPoolExecutor):
        def map(self, fn, *iterables, timeout=None, chunksize=1):
            rows = list(zip(*iterables, strict=False))
            return len(rows), super().map(lambda row: fn(*row), rows, timeout=timeout)

    with Counting(2) as pool:
        count, results = pool.map(pow, [2, 3], [2, 2])
        assert count == 2 and list(results) == [4, 9]


def test_shutdown_and_submit_have_their_documentation(futures):
    cls = futures.ThreadPoolExecutor
    standard = concurrent.futures.Executor
    for name in ("submit", "map", "shutdown"):
        assert getattr(cls, name).__doc__.strip()
        assert getattr(cls, name).__name__ == name
        assert callable(getattr(standard, name))


def test_names_of_the_submodule(futures):
    """Everything that people import from concurrent.futures.thread."""
    names = ("ThreadPoolExecutor", "BrokenThreadPool", "_worker", "_threads_queues")
    more = ("_python_exit", "_shutdown", "_global_shutdown_lock", "_WorkItem")
    for name in names + more:
        assert hasattr(futures.thread, name), name
    assert futures.thread.ThreadPoolExecutor is futures.ThreadPoolExecutor
    assert futures.thread.BrokenThreadPool is concurrent.futures.thread.BrokenThreadPool


def test_every_attribute_of_the_standard_executor_is_there(futures):
    standard = concurrent.futures.ThreadPoolExecutor(2)
    pool = futures.ThreadPoolExecutor(2)
    missing = [name for name in dir(standard) if not hasattr(pool, name)]
    missing += [name for name in vars(standard) if not hasattr(pool, name)]
    assert missing == []
    standard.shutdown()
    pool.shutdown()
