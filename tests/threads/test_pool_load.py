"""Many tasks, many threads, many pools: everything is done exactly once."""

import concurrent.futures
import http.client
import itertools
import multiprocessing.dummy
import threading
import time

import pytest
from support.site import serving


class Fetcher:
    """Fetch pages over one kept connection per thread."""

    def __init__(self, port):
        self.port = port
        self.local = threading.local()
        self.connections = []

    def __call__(self, number):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self.local.connection = connection
            self.connections.append(connection)
        path = f"/missing/{number}" if number % 100 == 7 else f"/{number}"
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def close(self):
        for connection in self.connections:
            connection.close()


def expected(number):
    if number % 100 == 7:
        return 404, f"page /missing/{number}"
    return 200, f"page /{number}"


def by_submit(futures, pool, fetch, numbers):
    made = {pool.submit(fetch, number): number for number in numbers}
    answers = {made[f]: f.result() for f in futures.as_completed(made, 60)}
    return [answers[number] for number in numbers]


def by_map(futures, pool, fetch, numbers):
    return list(pool.map(fetch, numbers, timeout=60))


@pytest.mark.slow
@pytest.mark.parametrize("way", [by_submit, by_map])
def test_3000_requests_on_100_workers_are_all_answered(futures, way):
    numbers = range(3000)
    with serving() as port:
        fetch = Fetcher(port)
        with futures.ThreadPoolExecutor(100) as pool:
            answers = way(futures, pool, fetch, numbers)
            assert len(pool._threads) <= 100
        fetch.close()
    assert answers == [expected(number) for number in numbers]


@pytest.mark.slow
def test_the_same_beside_a_multiprocessing_dummy_pool(futures):
    """Both kinds of pool fetch the same pages at the same time."""
    numbers = range(1000)
    with serving() as port:
        ours, theirs = Fetcher(port), Fetcher(port)
        with multiprocessing.dummy.Pool(50) as dummy:
            pending = dummy.map_async(theirs, numbers, chunksize=1)
            with futures.ThreadPoolExecutor(50) as pool:
                answers = by_map(futures, pool, ours, numbers)
            others = pending.get(60)
            dummy.close()
            dummy.join()
        ours.close()
        theirs.close()
    assert answers == others == [expected(number) for number in numbers]


@pytest.mark.slow
@pytest.mark.stress
def test_four_threads_submit_and_every_task_is_counted(futures):
    """50,000 tasks each on ours; a tenth on the standard module, which is slow."""
    each = 50_000 if futures.__name__ == "futures_c" else 5_000
    counters = [itertools.count() for _ in range(4)]
    with futures.ThreadPoolExecutor(4) as pool:

        def submit(counter):
            for _ in range(each):
                pool.submit(next, counter)

        threads = [threading.Thread(target=submit, args=(c,)) for c in counters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [next(counter) for counter in counters] == [each] * 4


@pytest.mark.stress
def test_four_threads_submit_and_read_every_result(futures):
    wrong = []
    with futures.ThreadPoolExecutor(4) as pool:

        def use(base):
            made = [pool.submit(abs, -(base + i)) for i in range(3000)]
            found = [future.result(60) for future in made]
            if found != list(range(base, base + 3000)):
                wrong.append(found)

        threads = [threading.Thread(target=use, args=(n * 10**6,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.stress
def test_four_threads_map_at_once(futures):
    wrong = []
    with futures.ThreadPoolExecutor(4) as pool:

        def use(base):
            found = list(pool.map(abs, range(base, base + 3000)))
            if found != list(range(base, base + 3000)):
                wrong.append(found)

        threads = [threading.Thread(target=use, args=(n * 10**6,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_nested_pools_three_deep(futures):
    def level(depth, value):
        if depth == 0:
            return value
        with futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(level, [depth - 1] * 3, [value, value + 1, value + 2]))

    assert level(3, 0) == sum(
        a + b + c for a in range(3) for b in range(3) for c in range(3)
    )


def test_a_pool_of_one_kind_inside_a_pool_of_the_other(futures):
    def inner(cls, i):
        with cls(2) as pool:
            return pool.submit(abs, -i).result(30)

    with futures.ThreadPoolExecutor(3) as pool:
        standard = concurrent.futures.ThreadPoolExecutor
        assert list(pool.map(inner, [standard] * 20, range(20))) == list(range(20))
    with multiprocessing.dummy.Pool(3) as pool:
        ours = [(futures.ThreadPoolExecutor, i) for i in range(20)]
        assert pool.starmap(inner, ours) == list(range(20))
        pool.close()
        pool.join()


def test_a_pipeline_of_pools(futures):
    with (
        futures.ThreadPoolExecutor(2) as first,
        futures.ThreadPoolExecutor(2) as second,
        futures.ThreadPoolExecutor(2) as third,
    ):
        a = [first.submit(abs, -i) for i in range(500)]
        b = [second.submit(lambda f: f.result(30) + 1, f) for f in a]
        c = [third.submit(lambda f: f.result(30) * 2, f) for f in b]
        assert [f.result(30) for f in c] == [(i + 1) * 2 for i in range(500)]


def test_100_workers_are_started_and_used(futures):
    with futures.ThreadPoolExecutor(100) as pool:
        barrier = threading.Barrier(100)
        made = [pool.submit(barrier.wait, 30) for _ in range(100)]
        assert sorted(f.result(30) for f in made) == list(range(100))
        assert len(pool._threads) == 100


def test_a_queue_of_100000_tasks(futures):
    gate = threading.Event()
    counter = itertools.count()
    count = 100_000 if futures.__name__ == "futures_c" else 10_000
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(gate.wait, 30)
        pool.submit(gate.wait, 30)
        for _ in range(count):
            pool.submit(next, counter)
        gate.set()
    assert next(counter) == count


class Program:
    """A random program over a few pools, which knows what must come out."""

    def __init__(self, futures, rng):
        self.futures, self.rng = futures, rng
        self.pools = [futures.ThreadPoolExecutor(rng.randint(1, 5)) for _ in range(3)]
        self.expected = {}
        self.cancelled = set()
        self.ticket = itertools.count()
        self.ran = []

    def task(self, number, seconds, fails):
        self.ran.append(number)
        if seconds:
            time.sleep(seconds)
        if fails:
            raise LookupError(number)
        return number

    def submit(self):
        number = next(self.ticket)
        fails = self.rng.random() < 0.2
        seconds = self.rng.choice([0, 0, 0, 0.0005])
        pool = self.rng.choice(self.pools)
        self.expected[pool.submit(self.task, number, seconds, fails)] = number, fails

    def cancel(self):
        if self.expected:
            future = self.rng.choice(list(self.expected)[-20:])
            if future.cancel():
                self.cancelled.add(future)

    def wait(self):
        some = self.rng.sample(list(self.expected), min(5, len(self.expected)))
        if some:
            kind = self.rng.choice(["ALL_COMPLETED", "FIRST_COMPLETED"])
            assert self.futures.wait(some, 30, kind).done

    def drain(self):
        some = self.rng.sample(list(self.expected), min(5, len(self.expected)))
        assert set(self.futures.as_completed(some, 30)) == set(some)

    def result(self):
        if self.expected:
            self.check(self.rng.choice(list(self.expected)))

    def map(self):
        pool = self.rng.choice(self.pools)
        count = self.rng.randrange(20)
        assert list(pool.map(abs, range(count), timeout=30)) == list(range(count))

    def partial_map(self):
        pool = self.rng.choice(self.pools)
        mapped = pool.map(abs, range(10))
        assert next(mapped) == 0
        mapped.close()

    def replace(self):
        """Shut a pool down, or just drop it, and make another."""
        i = self.rng.randrange(len(self.pools))
        if self.rng.random() < 0.7:
            self.pools[i].shutdown(wait=self.rng.random() < 0.5)
        self.pools[i] = self.futures.ThreadPoolExecutor(self.rng.randint(1, 5))

    def check(self, future):
        number, fails = self.expected[future]
        if future in self.cancelled:
            assert future.cancelled()
        elif fails:
            error = future.exception(30)
            assert isinstance(error, LookupError) and error.args == (number,)
        else:
            assert future.result(30) == number

    def run(self, steps):
        actions = [
            *[self.submit] * 12, *[self.cancel] * 2, self.wait, self.drain,
            self.result, self.map, self.partial_map,
        ]  # fmt: skip
        for _ in range(steps):
            self.rng.choice(actions)()
            if self.rng.random() < 0.01:
                self.replace()
        for future in self.expected:
            self.check(future)
        for pool in self.pools:
            pool.shutdown()
        ran = sorted(self.ran)
        due = {n for f, (n, _) in self.expected.items() if f not in self.cancelled}
        assert ran == sorted(due)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.fault("gh-92001", cap=10)
def test_random_programs(futures, rng):
    """Faults of the standard module's cancel() make some of them hang there."""
    for _ in range(4):
        Program(futures, rng).run(400)
