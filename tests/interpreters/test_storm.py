"""Several pools, submitting threads, cancelling and shutting down at once."""

from __future__ import annotations

import concurrent.futures
import gc
import threading

import pytest

import futures_c

from . import jobs, kit

pytestmark = [pytest.mark.stress, pytest.mark.slow]


def new_pool(rng):
    return futures_c.InterpreterPoolExecutor(
        rng.randrange(1, 4), initializer=jobs.visit, initargs=(kit.TESTS,)
    )


def submit_something(rng, pool):
    """Submit one of many calls; return its future and what it ends with."""
    n = rng.randrange(1000)
    kind = rng.randrange(9)
    if kind == 0:
        return pool.submit(abs, -n), n
    if kind == 1:
        return pool.submit(jobs.same, [n, "x" * n]), [n, "x" * n]
    if kind == 2:
        return pool.submit(lambda x: x * 2, n), 2 * n
    if kind == 3:
        return pool.submit(jobs.fail_with, str(n)), LookupError
    if kind == 4:
        return pool.submit(bytes, 100 * n), bytes(100 * n)
    if kind == 5:
        return pool.submit(jobs.keywords, n, a="y" * 3000), ((n,), {"a": "y" * 3000})
    if kind == 6:
        names: dict = {}
        exec(f"def made(): return {n}", names)
        return pool.submit(names["made"]), n
    if kind == 7:
        return pool.submit(jobs.same, jobs.Unsendable()), Exception
    return pool.submit(jobs.Point, n), jobs.Point(n)


def check(future, expected, may_be_cancelled):
    try:
        result = future.result(50)
    except concurrent.futures.CancelledError:
        assert may_be_cancelled
    except Exception as error:
        assert isinstance(expected, type), error
        assert issubclass(expected, Exception)
        assert isinstance(error, expected)
    else:
        assert result == expected


def run_all(count, target):
    """Run target(n) in threads; raise the first exception."""
    failed = []

    def run(n):
        try:
            target(n)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_many_threads_submit_to_several_pools(rng):
    before = kit.interpreters()
    pools = [new_pool(rng) for _ in range(2)]
    seeds = [rng.random() for _ in range(4)]

    def work(n):
        mine = type(rng)(seeds[n])
        made = []
        for _ in range(60):
            made.append(submit_something(mine, mine.choice(pools)))
            if mine.random() < 0.1:
                mine.choice(made)[0].cancel()
            if mine.random() < 0.02:
                gc.collect()
        for future, expected in made:
            check(future, expected, True)

    run_all(4, work)
    for pool in pools:
        pool.shutdown()
    kit.until_no_more_than(before)


@pytest.mark.cap(120)
def test_pools_come_and_go_in_several_threads(rng):
    before = kit.interpreters()
    seeds = [rng.random() for _ in range(3)]

    def work(n):
        mine = type(rng)(seeds[n])
        for _ in range(3):
            pool = new_pool(mine)
            made = [submit_something(mine, pool) for _ in range(mine.randrange(9))]
            how = mine.randrange(4)
            if how == 0:
                pool.shutdown()
            elif how == 1:
                pool.shutdown(wait=False, cancel_futures=True)
            elif how == 2:
                pool.shutdown(wait=False)
            del pool
            for future, expected in made:
                check(future, expected, how == 1)

    run_all(3, work)
    kit.until_no_more_than(before)


def test_shutdown_races_with_submit(rng):
    before = kit.interpreters()
    for _ in range(4):
        pool = new_pool(rng)
        started = threading.Barrier(3)
        made: list = []

        def submit(pool=pool, started=started, made=made):
            mine = type(rng)(threading.get_ident())
            started.wait(30)
            while True:
                try:
                    made.append(submit_something(mine, pool))
                except RuntimeError:
                    return

        def end(pool=pool, started=started):
            started.wait(30)
            pool.submit(abs, 1)
            pool.shutdown(wait=rng.random() < 0.5, cancel_futures=True)

        run_all(3, lambda n, end=end, submit=submit: end() if n == 0 else submit())
        for future, expected in made:
            check(future, expected, True)
        pool.shutdown()
    kit.until_no_more_than(before)


def test_callbacks_that_collect_and_submit(rng):
    pool = new_pool(rng)
    found = []

    def again(future):
        gc.collect()
        if future.exception() is None and len(found) < 200:
            found.append(future.result())
            try:
                next_one, _ = submit_something(type(rng)(len(found)), pool)
            except RuntimeError:
                return
            next_one.add_done_callback(again)

    for _ in range(3):
        pool.submit(abs, -1).add_done_callback(again)
    for _ in range(50):
        check(*submit_something(rng, pool), False)
    pool.shutdown(cancel_futures=True)
    assert found
