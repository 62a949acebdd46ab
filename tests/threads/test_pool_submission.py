"""Tasks that come from unusual places, and tasks that end in unusual ways."""

import gc
import itertools
import signal
import sys
import threading
import time

import pytest
from support.parallel import fresh
from support.waiting import until


@fresh
def gate():
    event = threading.Event()
    yield event
    event.set()


def test_a_task_submits_and_waits_with_a_free_worker(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        future = pool.submit(lambda: pool.submit(abs, -1).result(20))
        assert future.result(20) == 1


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_recursive_submission_with_enough_workers(futures, depth):
    def down(n):
        return n if n == depth else pool.submit(down, n + 1).result(20)

    with futures.ThreadPoolExecutor(depth + 1) as pool:
        for _ in range(5):
            assert pool.submit(down, 0).result(20) == depth


def test_a_tree_of_tasks_that_do_not_wait(futures):
    done = []

    def grow(depth):
        done.append(depth)
        if depth:
            pool.submit(grow, depth - 1)
            pool.submit(grow, depth - 1)

    with futures.ThreadPoolExecutor(3) as pool:
        pool.submit(grow, 9)
        until(lambda: len(done) == 2**10 - 1)
    assert done.count(0) == 2**9


def test_fibonacci_on_nested_pools(futures):
    def fibonacci(n):
        if n < 2:
            return n
        with futures.ThreadPoolExecutor(2) as inner:
            return sum(inner.map(fibonacci, (n - 1, n - 2)))

    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(fibonacci, 6).result(30) == 8


def test_a_task_uses_map_of_its_own_pool(futures):
    with futures.ThreadPoolExecutor(4) as pool:
        future = pool.submit(lambda: list(pool.map(abs, range(-20, 0))))
        assert future.result(20) == list(range(20, 0, -1))


def test_a_task_waits_for_several_others(futures):
    def gather():
        inner = [pool.submit(abs, -i) for i in range(10)]
        done, rest = futures.wait(inner, 20)
        assert not rest
        return sorted(f.result() for f in futures.as_completed(done, 20))

    with futures.ThreadPoolExecutor(2) as pool:
        assert pool.submit(gather).result(20) == list(range(10))


def test_two_pools_that_submit_to_each_other(futures):
    def bounce(n, here, there):
        if n == 0:
            return threading.current_thread().name
        return there.submit(bounce, n - 1, there, here).result(20)

    with (
        futures.ThreadPoolExecutor(6, "ping") as ping,
        futures.ThreadPoolExecutor(6, "pong") as pong,
    ):
        assert ping.submit(bounce, 9, ping, pong).result(20).startswith("pong")


def test_a_chain_of_callbacks(futures):
    done = threading.Event()
    steps = []

    def step(future):
        steps.append(future.result())
        if len(steps) == 200:
            done.set()
        else:
            pool.submit(abs, -len(steps)).add_done_callback(step)

    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(abs, 0).add_done_callback(step)
        assert done.wait(20)
    assert steps == list(range(200))


def test_a_callback_runs_in_the_completing_thread(futures, gate):
    seen = []
    with futures.ThreadPoolExecutor(1, "worker") as pool:
        future = pool.submit(gate.wait, 30)
        future.add_done_callback(lambda _: seen.append(threading.current_thread().name))
        gate.set()
        future.result(20)
        until(lambda: seen)
        future.add_done_callback(lambda _: seen.append(threading.current_thread().name))
    assert seen == ["worker_0", threading.current_thread().name]


def test_a_task_that_cancels_another(futures, gate):
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        canceller = pool.submit(lambda: victim.cancel())
        victim = pool.submit(abs, -1)
        gate.set()
        assert canceller.result(20) is True
        assert victim.cancelled()
        assert pool.submit(abs, -1).result(20) == 1


def test_a_cancelled_task_does_not_run_and_the_next_does(futures, gate):
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        pending = [pool.submit(ran.append, i) for i in range(100)]
        cancelled = [future.cancel() for future in pending[::2]]
        gate.set()
    assert all(cancelled)
    assert ran == list(range(1, 100, 2))


def test_a_running_task_cannot_be_cancelled(futures, gate):
    entered = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: (entered.set(), gate.wait(30)))
        assert entered.wait(20)
        assert future.running() and not future.done()
        assert future.cancel() is False
        gate.set()
        assert future.result(20) == (None, True)
        assert future.cancel() is False


def test_a_future_is_running_while_its_task_looks(futures):
    start = threading.Event()
    box = []

    def look():
        start.wait(20)
        return box[0].running(), box[0].done(), box[0].cancel()

    with futures.ThreadPoolExecutor(1) as pool:
        box.append(pool.submit(look))
        start.set()
        assert box[0].result(20) == (True, False, False)


def raiser(error):
    raise error


class OwnBase(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
        OwnBase,
        ValueError,
        StopIteration,
        MemoryError,
    ],
)
def test_any_exception_is_set_on_the_future_and_the_worker_lives(futures, error):
    with futures.ThreadPoolExecutor(1) as pool:
        worker = pool.submit(threading.current_thread).result(20)
        future = pool.submit(raiser, error("text"))
        assert type(future.exception(20)) is error
        with pytest.raises(error, match="text"):
            future.result(20)
        assert worker.is_alive()
        assert pool.submit(threading.current_thread).result(20) is worker
        with pytest.raises((error, RuntimeError)):
            list(pool.map(raiser, [error("text")]))
        assert pool.submit(threading.current_thread).result(20) is worker


def test_an_exception_has_the_traceback_of_the_task(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        exception = pool.submit(raiser, ValueError("text")).exception(20)
    names = []
    trace = exception.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names[-1] == "raiser"


def test_an_exception_has_its_context_and_cause(futures):
    def fail():
        try:
            raise KeyError("inner")
        except KeyError as exc:
            raise ValueError("outer") from exc

    with futures.ThreadPoolExecutor(1) as pool:
        exception = pool.submit(fail).exception(20)
        # What one task handled is no context of what the next one raises.
        assert pool.submit(raiser, ValueError("next")).exception(20).__context__ is None
    assert isinstance(exception.__cause__, KeyError)


def test_sys_exc_info_is_clean_in_every_task(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(raiser, ValueError()).exception(20)
        assert pool.submit(sys.exc_info).result(20) == (None, None, None)


def test_exceptions_that_are_classes_or_odd(futures):
    class Falsy(Exception):
        def __bool__(self):
            return False

        def __len__(self):
            return 0

    with futures.ThreadPoolExecutor(1) as pool:
        assert type(pool.submit(raiser, Falsy).exception(20)) is Falsy
        assert type(pool.submit(raiser, 5).exception(20)) is TypeError


@pytest.mark.fault("gh-132063")
def test_gh132063_a_falsy_exception_is_raised_by_result(futures):
    class Falsy(Exception):
        def __bool__(self):
            return False

        def __len__(self):
            return 0

    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(Falsy):
            pool.submit(raiser, Falsy()).result(20)
        with pytest.raises(Falsy):
            list(pool.map(raiser, [Falsy()]))


@pytest.mark.fault("gh-76757")
def test_gh76757_submission_from_the_finalizer_of_an_argument(futures):
    """Without the GIL a finalizer may run in whatever thread, inside submit."""
    numbers = itertools.count()
    seen = []

    class Argument:
        def __del__(self):
            seen.append(pool.submit(abs, -next(numbers)))

    with futures.ThreadPoolExecutor(1) as pool:
        for _ in range(50):
            pool.submit(id, Argument())
        until(lambda: gc.collect() is not None and len(seen) == 50)
        assert sorted(future.result(20) for future in seen) == list(range(50))


@pytest.mark.fault("gh-76757")
def test_gh76757_submission_from_the_finalizer_of_a_result(futures):
    seen = []

    class Result:
        def __del__(self):
            seen.append(pool.submit(abs, -1))

    with futures.ThreadPoolExecutor(1) as pool:
        for _ in range(50):
            pool.submit(Result)
        until(lambda: gc.collect() is not None and len(seen) == 50)
        assert all(future.result(20) == 1 for future in seen)


def test_a_finalizer_that_raises_harms_nothing(futures, script):
    outcome = script(
        """
        import sys
        seen = []
        sys.unraisablehook = lambda arguments: seen.append(arguments.exc_type)
        class Argument:
            def __del__(self):
                raise ValueError
        with futures.ThreadPoolExecutor(1) as pool:
            for _ in range(5):
                pool.submit(id, Argument()).result(20)
            print(pool.submit(abs, -1).result(20))
        print(len(seen), set(seen) == {ValueError})
        """
    )
    assert outcome.check().lines == ["1", "5 True"]


@pytest.mark.fault("gh-121649")
@pytest.mark.thread_unsafe(reason="sets a signal handler")
def test_gh121649_submission_from_a_signal_handler_during_a_wait(futures):
    """Handlers run in the main thread, wherever it is: in a wait as well."""
    numbers = itertools.count()
    inner = []
    with futures.ThreadPoolExecutor(2) as pool:
        previous = signal.signal(
            signal.SIGUSR1, lambda *_: inner.append(pool.submit(abs, -next(numbers)))
        )
        try:

            def shoot():
                for _ in range(20):
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
                    time.sleep(0.002)

            shooter = threading.Thread(target=shoot)
            shooter.start()
            sleeping = pool.submit(time.sleep, 0.05)
            sleeping.result(20)
            while shooter.is_alive():
                shooter.join(0.001)
        finally:
            signal.signal(signal.SIGUSR1, previous)
        assert inner
        assert sorted(f.result(20) for f in inner) == list(range(len(inner)))


@pytest.mark.fault("gh-121649")
def test_gh121649_submission_from_a_signal_handler_during_submit(futures, script):
    outcome = script(
        """
        import itertools, signal, threading, time

        # A handler may interrupt another one.
        inner, outer, numbers = [], [], itertools.count()
        pool = futures.ThreadPoolExecutor(2)
        def handle(signum, frame):
            inner.append(pool.submit(abs, -next(numbers)))
        signal.signal(signal.SIGUSR1, handle)
        stop = threading.Event()
        def shoot():
            main = threading.main_thread().ident
            while not stop.is_set():
                signal.pthread_kill(main, signal.SIGUSR1)
                time.sleep(0.0002)
        shooter = threading.Thread(target=shoot)
        shooter.start()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            outer.append(pool.submit(abs, -len(outer)))
            if len(outer) % 50 == 0:
                outer[-1].result(20)
        stop.set()
        shooter.join()
        assert [f.result(20) for f in outer] == list(range(len(outer)))
        assert sorted(f.result(20) for f in inner) == list(range(len(inner)))
        assert len(inner) > 50, len(inner)
        pool.shutdown()
        print("all there")
        """,
        cap=20,
    )
    assert outcome.check().lines == ["all there"]


def test_submission_while_iterating_map(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        seen = [pool.submit(abs, -x).result(20) for x in pool.map(abs, range(50))]
    assert seen == list(range(50))


def test_an_input_of_map_that_submits(futures):
    """Inputs may depend on what earlier tasks did."""
    with futures.ThreadPoolExecutor(2) as pool:

        def inputs():
            value = 1
            for _ in range(10):
                yield value
                value = pool.submit(lambda v=value: v * 2).result(20)

        assert list(pool.map(abs, inputs())) == [2**i for i in range(10)]


def test_a_task_that_returns_a_generator_or_coroutine(futures):
    async def coroutine():
        return 1

    def generator():
        yield 5

    with futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.submit(generator).result(20)) == [5]
        found = pool.submit(coroutine).result(20)
        found.close()


def test_a_task_that_returns_another_future(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        inner = pool.submit(abs, -1)
        assert pool.submit(lambda: inner).result(20) is inner


def test_results_are_the_same_objects(futures):
    things = [object() for _ in range(100)]
    with futures.ThreadPoolExecutor(3) as pool:
        pending = [pool.submit(lambda x: x, thing) for thing in things]
        assert all(
            future.result(20) is thing
            for future, thing in zip(pending, things, strict=True)
        )
        mapped = pool.map(lambda x: x, things)
        assert all(a is b for a, b in zip(mapped, things, strict=True))


def test_gh130605_an_executor_shared_by_many_threads(futures):
    results = {}
    with futures.ThreadPoolExecutor(3) as pool:

        def use(name):
            results[name] = [pool.submit(abs, -i).result(20) for i in range(200)]

        threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {n: list(range(200)) for n in range(4)}
