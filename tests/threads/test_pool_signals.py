"""Ctrl-C and other signals while the main thread waits."""

import pytest

#: Each is a blocking call of the main thread that nothing but the signal ends:
#: `blocked` is a future whose task waits for `gate`.
CALLS = {
    "result": "blocked.result()",
    "result_with_timeout": "blocked.result(1000)",
    "exception": "blocked.exception()",
    "exception_with_timeout": "blocked.exception(1000)",
    "wait": "futures.wait([blocked, done])",
    "wait_with_timeout": "futures.wait([blocked, done], 1000)",
    "wait_first_exception": "futures.wait([blocked], 1000, 'FIRST_EXCEPTION')",
    "as_completed": "next(futures.as_completed([blocked]))",
    "as_completed_with_timeout": "next(futures.as_completed([blocked], 1000))",
    "as_completed_loop": "[f.result() for f in futures.as_completed([done, blocked])]",
    "map": "next(pool.map(hold, [0]))",
    "map_with_timeout": "next(pool.map(hold, [0], timeout=1000))",
    "list_of_map": "list(pool.map(hold, [0, 0]))",
    "shutdown": "pool.shutdown()",
    "with": "leave_with()",
    "bare_future": "futures.Future().result()",
    "queue_get": "unused._work_queue.get()",
    "worker_join": "next(iter(pool._threads)).join()",
}

PROLOGUE = """
import os, signal, sys, threading, time

gate = threading.Event()
def hold(_=None):
    gate.wait(40)
    return "held"
pool = futures.ThreadPoolExecutor(2)
blocked = pool.submit(hold)
unused = futures.ThreadPoolExecutor(1)
done = futures.ThreadPoolExecutor(1).submit(abs, -1)
done.result()

def leave_with():
    with pool:
        pass

armed = threading.Event()
def shoot(number, times=1, pause=0.1):
    # Send signals from another thread, the first one after armed.set().
    def run():
        armed.wait(30)
        for _ in range(times):
            time.sleep(pause)
            os.kill(os.getpid(), number)
    shooter = threading.Thread(target=run)
    shooter.start()
    return shooter
"""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_interrupts_every_blocking_call(futures, script, call):
    outcome = script(
        PROLOGUE
        + f"""
shooter = shoot(signal.SIGINT)
start = time.monotonic()
try:
    armed.set()
    {call}
except KeyboardInterrupt:
    took = time.monotonic() - start
    print("interrupted")
shooter.join()
assert took < 5, took
gate.set()
assert blocked.result(20) == "held"
other = futures.ThreadPoolExecutor(1)
assert other.submit(abs, -2).result(20) == 2
if not pool._shutdown:
    assert pool.submit(abs, -2).result(20) == 2
    assert list(pool.map(abs, [-3])) == [3]
"""
    )
    assert outcome.check().lines == ["interrupted"]
    assert outcome.stderr == ""


def test_ctrl_c_again_and_again(futures, script):
    outcome = script(
        PROLOGUE
        + """
count = 0
for _ in range(20):
    armed.clear()
    shooter = shoot(signal.SIGINT, pause=0.005)
    try:
        armed.set()
        blocked.result()
    except KeyboardInterrupt:
        count += 1
    shooter.join()
gate.set()
print(count, blocked.result(20))
"""
    )
    assert outcome.check().lines == ["20 held"]


@pytest.mark.fault("Ctrl-C just before a wait sleeps is noticed when the wait is over")
@pytest.mark.parametrize(
    "pool",
    [
        "futures.ThreadPoolExecutor(1)",
        "futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork'))",
    ],
    ids=["threads", "processes"],
)
@pytest.mark.parametrize(
    "call",
    [
        "blocked.result(10)",
        "futures.wait([blocked], 10)",
        "next(futures.as_completed([blocked], 10))",
        "next(pool.map(abs, [-1], timeout=10))",
    ],
    ids=["result", "wait", "as_completed", "map"],
)
def test_ctrl_c_in_the_first_moments_of_a_wait(futures, script, pool, call, rng):
    """Also while the waiter spins, and when it is just about to sleep."""
    outcome = script(
        f"""
import multiprocessing, os, random, signal, threading, time

def shoot(started, pause):
    started.acquire()
    end = time.perf_counter() + pause
    while time.perf_counter() < end:
        pass
    signal.pthread_kill(main, signal.SIGINT)

main = threading.main_thread().ident
rng = random.Random({rng.random()})
reader, writer = os.pipe()
pool = {pool}
blocked = pool.submit(os.read, reader, 1)
while not blocked.running():
    time.sleep(0.001)
late = 0
for _ in range(100):
    started = threading.Lock()
    started.acquire()
    shooter = threading.Thread(target=shoot, args=(started, rng.uniform(0, 80e-6)))
    shooter.start()
    try:
        started.release()
        try:
            {call}
        except futures.TimeoutError:
            pass
        late += 1
        time.sleep(10)
    except KeyboardInterrupt:
        pass
    shooter.join()
    if late:
        break
os.write(writer, b"x")
pool.shutdown()
print(late, "too late")
""",
        cap=60,
    )
    assert outcome.check().lines == ["0 too late"]


def test_ctrl_c_in_with_waits_for_the_tasks(futures, script):
    """The exception goes through __exit__, which waits for what runs."""
    outcome = script(
        PROLOGUE
        + """
shooter = shoot(signal.SIGINT)
threading.Timer(0.5, gate.set).start()
try:
    with pool:
        armed.set()
        blocked.result()
except KeyboardInterrupt:
    print("interrupted", blocked.done())
shooter.join()
"""
    )
    assert outcome.check().lines == ["interrupted True"]


@pytest.mark.fault("gh-121649")
def test_ctrl_c_during_submit_loses_no_future(futures, script):
    """Whatever submit returned before the interrupt ends."""
    outcome = script(
        """
        import os, signal, threading, time
        for _ in range(15):
            with futures.ThreadPoolExecutor(2) as pool:
                accepted = []
                armed = threading.Event()
                def shoot():
                    armed.wait(20)
                    time.sleep(0.01)
                    os.kill(os.getpid(), signal.SIGINT)
                shooter = threading.Thread(target=shoot)
                shooter.start()
                try:
                    armed.set()
                    while True:
                        accepted.append(pool.submit(abs, -len(accepted)))
                except KeyboardInterrupt:
                    pass
                shooter.join()
                results = [f.result(20) for f in accepted]
                assert results == list(range(len(accepted)))
        print("all ended")
        """
    )
    assert outcome.check().lines == ["all ended"]


def test_ctrl_c_with_the_default_action_ends_the_process(futures, script):
    outcome = script(
        PROLOGUE
        + """
signal.signal(signal.SIGINT, signal.SIG_DFL)
shooter = shoot(signal.SIGINT)
armed.set()
blocked.result()
"""
    )
    assert outcome.returncode == -2
    assert not outcome.timed_out


def test_ctrl_c_unhandled_ends_the_script(futures, script):
    """The traceback is printed, busy workers are waited for, as always."""
    outcome = script(
        PROLOGUE
        + """
shooter = shoot(signal.SIGINT)
threading.Timer(0.5, gate.set).start()
armed.set()
blocked.result()
"""
    )
    assert not outcome.timed_out
    assert outcome.returncode in (-2, 130)
    assert outcome.stderr.rstrip().endswith("KeyboardInterrupt")


WAITS = {
    "result": "blocked.result({t})",
    "exception": "blocked.exception({t})",
    "wait": "expect_pending(futures.wait([blocked], {t}))",
    "as_completed": "next(futures.as_completed([blocked], {t}))",
    "map": "next(pool.map(hold, [0], timeout={t}))",
}

HANDLER = """
hits = []
signal.signal(signal.SIGUSR1, lambda *_: hits.append(time.monotonic()))

def expect_pending(found):
    assert found == (set(), {blocked}), found
    raise TimeoutError
"""


@pytest.mark.parametrize("call", WAITS.values(), ids=WAITS)
def test_a_handler_that_returns_does_not_shorten_a_timeout(futures, script, call):
    outcome = script(
        PROLOGUE
        + HANDLER
        + f"""
shooter = shoot(signal.SIGUSR1, times=5, pause=0.03)
armed.set()
start = time.monotonic()
try:
    {call.format(t=0.4)}
except TimeoutError:
    took = time.monotonic() - start
shooter.join()
assert hits
assert 0.39 < took < 10, took
gate.set()
print("done")
"""
    )
    assert outcome.check().lines == ["done"]


@pytest.mark.parametrize("call", WAITS.values(), ids=WAITS)
def test_a_handler_that_returns_does_not_end_a_wait(futures, script, call):
    """The task ends a moment after the last of several signals."""
    outcome = script(
        PROLOGUE
        + HANDLER
        + f"""
def expect_pending(found):
    assert found == ({{blocked}}, set()), found

def signals_and_end():
    shoot(signal.SIGUSR1, times=5, pause=0.02).join()
    time.sleep(0.05)
    ending.append(time.monotonic())
    gate.set()
ending = []
armed.set()
threading.Thread(target=signals_and_end).start()
{call.format(t=None)}
assert time.monotonic() >= ending[0]
assert hits
print("done")
"""
    )
    assert outcome.check().lines == ["done"]


def test_handlers_run_at_once_during_a_wait(futures, script):
    """Not only after it: a handler can end what the main thread waits for."""
    outcome = script(
        PROLOGUE
        + """
signal.signal(signal.SIGUSR1, lambda *_: gate.set())
shooter = shoot(signal.SIGUSR1)
armed.set()
print(blocked.result())
"""
    )
    assert outcome.check().lines == ["held"]


def test_signals_do_not_disturb_waits_of_other_threads(futures, script):
    outcome = script(
        PROLOGUE
        + HANDLER
        + """
seen = []
waiter = threading.Thread(target=lambda: seen.append(blocked.result()))
waiter.start()
for _ in range(20):
    signal.pthread_kill(waiter.ident, signal.SIGUSR1)
    time.sleep(0.005)
assert not seen and hits
gate.set()
waiter.join()
print(seen)
"""
    )
    assert outcome.check().lines == ["['held']"]


def test_signals_do_not_disturb_workers(futures, script):
    outcome = script(
        """
        import signal, threading, time
        signal.signal(signal.SIGUSR1, lambda *_: None)
        with futures.ThreadPoolExecutor(2) as pool:
            barrier = threading.Barrier(2)
            futures.wait([pool.submit(barrier.wait, 20) for _ in range(2)])
            for i in range(100):
                for thread in pool._threads:
                    signal.pthread_kill(thread.ident, signal.SIGUSR1)
                if i % 10 == 0:
                    assert pool.submit(abs, -i).result(20) == i
            time.sleep(0.01)
            assert all(t.is_alive() for t in pool._threads)
            print(list(pool.map(abs, [-1, -2])))
        """
    )
    assert outcome.check().lines == ["[1, 2]"]


def test_a_handler_that_raises_its_own_exception(futures, script):
    outcome = script(
        PROLOGUE
        + """
class Own(Exception):
    pass
def handle(*_):
    raise Own("from the handler")
signal.signal(signal.SIGUSR1, handle)
shooter = shoot(signal.SIGUSR1)
try:
    armed.set()
    futures.wait([blocked])
except Own as exc:
    print(exc)
shooter.join()
gate.set()
print(blocked.result(20))
"""
    )
    assert outcome.check().lines == ["from the handler", "held"]
