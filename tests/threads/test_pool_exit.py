"""The end of the interpreter, with work left, busy and idle workers."""

import pytest
from support.waiting import FREE_THREADED

import futures_c

#: A pool in a global with work left, nobody shuts it down.
WORK_LEFT = """
import sys, time
pool = futures.ThreadPoolExecutor({workers})
def work(i):
    time.sleep(0.01)
    print(f"ran {{i}}\\n", end="")
for i in range(6):
    pool.submit(work, i)
{end}
"""

ALL_RAN = sorted(f"ran {i}" for i in range(6))


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_exit_runs_what_is_left(futures, script, workers):
    outcome = script(WORK_LEFT.format(workers=workers, end=""))
    assert sorted(outcome.check().lines) == ALL_RAN
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    "end, code",
    [("sys.exit(3)", 3), ("raise SystemExit", 0), ("del pool", 0), ("pool = None", 0)],
)
def test_exit_by_other_ways_runs_what_is_left(futures, script, end, code):
    outcome = script(WORK_LEFT.format(workers=2, end=end))
    assert sorted(outcome.check(code).lines) == ALL_RAN
    assert outcome.stderr == ""


def test_exit_by_an_exception_runs_what_is_left(futures, script):
    outcome = script(WORK_LEFT.format(workers=2, end="raise ValueError('main')"))
    assert sorted(outcome.check(1).lines) == ALL_RAN
    assert outcome.stderr.rstrip().endswith("ValueError: main")


def test_gh80961_exit_after_shutdown_without_waiting(futures, script):
    outcome = script(WORK_LEFT.format(workers=2, end="pool.shutdown(wait=False)"))
    assert sorted(outcome.check().lines) == ALL_RAN


def test_exit_after_cancel_futures(futures, script):
    outcome = script(
        WORK_LEFT.format(
            workers=1, end="pool.shutdown(wait=False, cancel_futures=True)"
        )
    )
    lines = outcome.check().lines
    assert lines in ([], ["ran 0"], ["ran 0", "ran 1"])


@pytest.mark.parametrize("workers", [1, 8])
def test_exit_while_workers_idle(futures, script, workers):
    outcome = script(
        f"""
        import threading
        pool = futures.ThreadPoolExecutor({workers})
        barrier = threading.Barrier({workers})
        futures.wait([pool.submit(barrier.wait, 20) for _ in range({workers})])
        print("idle")
        """
    )
    assert outcome.check().lines == ["idle"]
    assert outcome.stderr == ""


def test_exit_of_an_unused_pool(futures, script):
    assert script("pool = futures.ThreadPoolExecutor(3)").check().stderr == ""


def test_gh86575_exit_with_an_unread_map(futures, script):
    outcome = script(
        """
        import time
        pool = futures.ThreadPoolExecutor(2)
        def work(i):
            time.sleep(0.01)
            print(f"ran {i}\\n", end="")
        mapped = pool.map(work, range(6))
        """
    )
    assert sorted(outcome.check().lines) == ALL_RAN


def test_exit_with_many_tasks_left(futures, script):
    outcome = script(
        """
        import atexit
        ran = []
        pool = futures.ThreadPoolExecutor(4)
        atexit.register(lambda: print(len(ran)))
        for i in range(20000):
            pool.submit(ran.append, i)
        """
    )
    assert outcome.check().lines == ["20000"]


def test_workers_are_joined_before_atexit_functions_run(futures, script):
    outcome = script(
        """
        import atexit, threading, time
        atexit.register(lambda: print("atexit", threading.active_count()))
        pool = futures.ThreadPoolExecutor(2)
        pool.submit(lambda: (time.sleep(0.1), print("task")))
        """
    )
    assert outcome.check().lines == ["task", "atexit 1"]


def test_submit_from_atexit_has_its_text(futures, script):
    outcome = script(
        """
        import atexit
        def late():
            for pool in used, fresh:
                for call in pool.submit, lambda *a: list(pool.map(*a, [1])):
                    try:
                        call(abs)
                    except RuntimeError as exc:
                        print(exc)
        atexit.register(late)
        used, fresh = futures.ThreadPoolExecutor(1), futures.ThreadPoolExecutor(1)
        used.submit(abs, 1).result()
        """
    )
    text = "cannot schedule new futures after interpreter shutdown"
    after = "cannot schedule new futures after shutdown"
    # Workers flag the pool that they served as shut down when they leave.
    lines = outcome.check().lines
    assert lines[2:] == [text, text]
    assert set(lines[:2]) <= {text, after} and len(lines) == 4


def test_a_task_that_submits_while_the_interpreter_exits(futures, script):
    outcome = script(
        """
        import threading, time
        pool = futures.ThreadPoolExecutor(2)
        def work():
            time.sleep(0.2)  # By then the main thread waits for this one.
            try:
                print(pool.submit(abs, -1).result())
            except RuntimeError as exc:
                print(exc)
        pool.submit(work)
        """
    )
    (line,) = outcome.check().lines
    assert line in (
        "1",
        "cannot schedule new futures after interpreter shutdown",
        "cannot schedule new futures after shutdown",
    )
    assert outcome.stderr == ""


@pytest.mark.fault("gh-148280")
def test_gh148280_a_thread_that_outlives_main_may_use_a_pool(futures, script):
    outcome = script(
        """
        import threading, time
        def worker():
            threading.main_thread().join()
            time.sleep(0.1)
            pool = futures.ThreadPoolExecutor()
            print(pool.submit(abs, -1).result(20))
            print(list(pool.map(abs, [-2, -3])))
            pool.submit(print, "left")
        threading.Thread(target=worker).start()
        """
    )
    assert outcome.check().lines == ["1", "[2, 3]", "left"]
    assert outcome.stderr == ""


@pytest.mark.fault("gh-148280")
def test_gh148280_with_a_pool_that_was_in_use_before(futures, script):
    outcome = script(
        """
        import threading, time
        pool = futures.ThreadPoolExecutor(2)
        pool.submit(abs, 1).result()
        def worker():
            threading.main_thread().join()
            time.sleep(0.1)
            print(pool.submit(abs, -1).result(20))
        threading.Thread(target=worker).start()
        """
    )
    assert outcome.check().lines == ["1"]
    assert outcome.stderr == ""


def test_the_ctrl_c_idiom_of_crawlers(futures, script):
    """Clearing the tables of threads lets the interpreter skip their join.

    The threads are not daemons, so threading waits for what they run; what is
    queued behind it may or may not run.
    """
    outcome = script(
        """
        import concurrent.futures.thread, signal, sys, time
        pool = futures.ThreadPoolExecutor(2)
        def work(i):
            time.sleep(0.02)
            return i
        pending = [pool.submit(work, i) for i in range(200)]
        try:
            for i, future in enumerate(futures.as_completed(pending)):
                if i == 3:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pool._threads.clear()
            futures.thread._threads_queues.clear()
            concurrent.futures.thread._threads_queues.clear()
            pool.shutdown(wait=False, cancel_futures=True)
            print("stopped")
            sys.exit(7)
        """
    )
    assert outcome.check(7).lines == ["stopped"]
    assert outcome.stderr == ""


def test_the_ctrl_c_idiom_without_shutdown(futures, script):
    outcome = script(
        """
        import concurrent.futures.thread, os, time
        with futures.ThreadPoolExecutor(2) as pool:
            future = pool.submit(time.sleep, 0.05)
            pool._threads.clear()
            futures.thread._threads_queues.clear()
            concurrent.futures.thread._threads_queues.clear()
            assert not pool._threads
            print("left with", future.done())
        print("out", flush=True)
        future.result(20)
        """
    )
    assert outcome.check().lines == ["left with False", "out"]


def test_os_exit_with_busy_workers_ends_at_once(futures, script):
    outcome = script(
        """
        import os, time
        pool = futures.ThreadPoolExecutor(4)
        for _ in range(50):
            pool.submit(time.sleep, 60)
        print("out", flush=True)
        os._exit(5)
        """
    )
    assert outcome.check(5).lines == ["out"]


def test_sys_exit_in_a_task_does_not_end_the_process(futures, script):
    outcome = script(
        """
        import sys
        pool = futures.ThreadPoolExecutor(1)
        future = pool.submit(sys.exit, 9)
        print(repr(future.exception(20)))
        print(pool.submit(abs, -1).result(20))
        """
    )
    assert outcome.check().lines == ["SystemExit(9)", "1"]


def test_daemon_threads_that_submit_during_exit(futures, script):
    """They are cut off somewhere in submit; nothing crashes or hangs."""
    source = """
        import threading
        pool = futures.ThreadPoolExecutor(2)
        ready = threading.Barrier(4)
        def flood():
            ready.wait(20)
            while True:
                try:
                    pool.submit(abs, 1)
                except RuntimeError:
                    return
        for _ in range(3):
            threading.Thread(target=flood, daemon=True).start()
        ready.wait(20)
        print("main ends")
        """
    for _ in range(3):
        outcome = script(source)
        assert outcome.check().lines == ["main ends"]
        assert "Fatal" not in outcome.stderr


def test_daemon_threads_that_wait_during_exit(futures, script):
    outcome = script(
        """
        import threading, time
        never = futures.Future()
        pool = futures.ThreadPoolExecutor(2)
        def wait_in(call):
            threading.Thread(target=call, daemon=True).start()
        wait_in(never.result)
        wait_in(never.exception)
        wait_in(lambda: futures.wait([never]))
        wait_in(lambda: list(futures.as_completed([never])))
        wait_in(lambda: never.result(1000))
        time.sleep(0.1)
        print("main ends")
        """
    )
    assert outcome.check().lines == ["main ends"]
    assert outcome.stderr == ""


def test_a_pool_used_by_daemon_workers_at_exit(futures, script):
    """A pool made in a daemon thread has daemon workers; exit joins them."""
    outcome = script(
        """
        import threading, time
        box = []
        def make():
            pool = futures.ThreadPoolExecutor(1)
            box.append(pool)
            pool.submit(lambda: (time.sleep(0.1), print("task")))
        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        thread.join()
        """
    )
    assert outcome.check().lines == ["task"]


def test_an_executor_in_a_module_global_cycle_with_atexit(futures, script):
    outcome = script(
        """
        import atexit
        pool = futures.ThreadPoolExecutor(2)
        atexit.register(pool.shutdown)
        print(list(pool.map(abs, [-1, -2])))
        """
    )
    assert outcome.check().lines == ["[1, 2]"]
    assert outcome.stderr == ""


@pytest.mark.skipif(FREE_THREADED, reason="nothing is finalized at exit there")
def test_shutdown_from_a_finalizer_at_exit(futures, script):
    outcome = script(
        """
        class Owner:
            def __init__(self):
                self.pool = futures.ThreadPoolExecutor(2)
            def __del__(self):
                self.pool.shutdown()
                print("closed")
        owner = Owner()
        print(owner.pool.submit(abs, -1).result())
        """
    )
    assert outcome.check().lines == ["1", "closed"]
    assert outcome.stderr == ""


def test_futures_that_outlive_everything(futures, script):
    """Module teardown frees futures, executors and callbacks in any order."""
    outcome = script(
        """
        import builtins
        pool = futures.ThreadPoolExecutor(2)
        kept = [pool.submit(lambda i=i: [i]) for i in range(10)]
        for future in kept:
            future.add_done_callback(lambda f: (pool, kept))
        builtins.kept_future = kept[0]
        builtins.kept_pool = pool
        builtins.kept_map = pool.map(abs, range(10))
        futures.wait(kept)
        kept[1]._condition
        print("done")
        """
    )
    assert outcome.check().lines == ["done"]
    assert outcome.stderr == ""


def test_a_pool_that_exists_before_and_is_used_by_a_thread_at_exit(futures, script):
    """Tasks of one pool use another while the interpreter waits for both."""
    outcome = script(
        """
        import time
        inner = futures.ThreadPoolExecutor(1)
        outer = futures.ThreadPoolExecutor(1)
        inner.submit(abs, 1).result()
        started = inner.submit(lambda: (time.sleep(0.1), "inner")[1])
        outer.submit(lambda: print(started.result(20)))
        """
    )
    assert outcome.check().lines == ["inner"]


def test_exit_after_the_module_was_removed_from_sys_modules(futures, script):
    outcome = script(
        """
        import sys, time
        pool = futures.ThreadPoolExecutor(1)
        pool.submit(lambda: (time.sleep(0.05), print("task")))
        for name in [n for n in sys.modules if n.startswith(futures.__name__)]:
            del sys.modules[name]
        del futures
        """
    )
    assert outcome.check().lines == ["task"]


#: A daemon thread submits, and is stopped in the middle of starting a worker; it
#: goes on when the main thread has begun to exit.
STARTING = """
import threading, time
import futures_c
passed = threading.Event()
begun = threading.Event()
# Called last of these, so after the module's own.
threading._threading_atexits.insert(0, passed.set)
pool = futures.ThreadPoolExecutor(2)
def init(thread, init=threading.Thread.__init__, **options):
    if str(options.get("name")).startswith("ThreadPool"):
        begun.set()
        while not futures_c.thread._shutdown:
            time.sleep(0.001)
        # Who waits for this thread cannot pass.
        passed.wait(0.3)
        print("passed" if passed.is_set() else "waited for")
    init(thread, **options)
def submit():
    pool.submit(print, "ran")
thread = threading.Thread(target=submit, daemon=True)
threading.Thread.__init__ = init
thread.start()
begun.wait(20)
"""


def test_the_exit_waits_for_a_daemon_thread_that_is_starting_a_worker(script):
    outcome = script(STARTING, futures=futures_c)
    lines = outcome.check().lines
    assert lines in (["waited for"], ["waited for", "ran"])
    assert outcome.stderr == ""


def test_a_daemon_thread_starts_no_worker_that_the_exit_does_not_know(script):
    """It has passed the first look, and comes to the start when the exit has begun."""
    outcome = script(
        """
        import threading, time
        import futures_c
        class Pool(futures.ThreadPoolExecutor):
            def _start_worker(self, number, worker):
                begun.set()
                while not futures_c.thread._shutdown:
                    time.sleep(0.001)
                super()._start_worker(number, worker)
        begun, ended = threading.Event(), threading.Event()
        def submit():
            try:
                Pool(1).submit(abs, -1)
            except RuntimeError as error:
                print(error)
            ended.set()
        # Called last of these, so after the module's own.
        threading._threading_atexits.insert(0, lambda: ended.wait(20))
        threading.Thread(target=submit, daemon=True).start()
        begun.wait(20)
        """,
        futures=futures_c,
    )
    text = "cannot schedule new futures after interpreter shutdown"
    assert outcome.check().lines == [text]
    assert outcome.stderr == ""
