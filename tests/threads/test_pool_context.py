"""Worker contexts, which came with 3.14: prepare_context and what it makes."""

import sys
import threading

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="worker contexts came with Python 3.14"
)


def make_class(futures, log, fail=()):
    """A pool whose contexts write what is called into *log*."""

    class Context:
        def __init__(self, initializer, initargs, **options):
            self.options = options
            self.initializer, self.initargs = initializer, initargs
            log.append("create")

        def initialize(self):
            log.append("initialize")
            self.thread = threading.get_ident()
            if "initialize" in fail:
                raise ValueError("initialize")
            if self.initializer is not None:
                self.initializer(*self.initargs)

        def finalize(self):
            assert self.thread == threading.get_ident()
            log.append("finalize")

        def run(self, task):
            assert self.thread == threading.get_ident()
            log.append(("run", task))
            if "run" in fail:
                raise KeyError("run")
            fn, args, kwargs = task
            return fn(*args, **kwargs)

    class Pool(futures.ThreadPoolExecutor):
        @classmethod
        def prepare_context(cls, initializer, initargs, **options):
            log.append(("prepare", cls is Pool, options))

            def create_context():
                return Context(initializer, initargs, **options)

            def resolve_task(fn, args, kwargs):
                if "resolve" in fail:
                    raise LookupError("resolve")
                return (fn, args, kwargs)

            return create_context, resolve_task

    return Pool


def test_the_order_of_calls(futures):
    log = []
    with make_class(futures, log)(1) as pool:
        assert log == [("prepare", True, {})]
        assert pool.submit(abs, -1).result(20) == 1
        assert pool.submit(pow, 2, exp=3).result(20) == 8
        assert log[1:3] == ["create", "initialize"]
    assert log[3:] == [
        ("run", (abs, (-1,), {})),
        ("run", (pow, (2,), {"exp": 3})),
        "finalize",
    ]


def test_map_goes_through_the_context(futures):
    log = []
    with make_class(futures, log)(1) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert [entry for entry in log if entry[0] == "run"] == [
        ("run", (abs, (-1,), {})),
        ("run", (abs, (-2,), {})),
    ]


def test_each_thread_has_a_context(futures):
    log = []
    with make_class(futures, log)(3) as pool:
        barrier = threading.Barrier(3)
        for future in [pool.submit(barrier.wait, 20) for _ in range(3)]:
            future.result(20)
    for name in ("create", "initialize", "finalize"):
        assert log.count(name) == 3


def test_further_arguments_go_to_prepare_context(futures):
    log = []
    with make_class(futures, log)(1, shared=5, name="x"):
        assert log == [("prepare", True, {"shared": 5, "name": "x"})]
    with pytest.raises(TypeError):
        futures.ThreadPoolExecutor(1, shared=5)


def test_a_context_gets_the_initializer(futures):
    seen = []
    with make_class(futures, [])(1, initializer=seen.append, initargs=(7,)) as pool:
        pool.submit(abs, 1).result(20)
    assert seen == [7]


def test_a_context_that_fails_to_initialize_breaks_the_pool(futures, caplog):
    with make_class(futures, [], fail={"initialize"})(1) as pool:
        with pytest.raises(futures.thread.BrokenThreadPool):
            pool.submit(abs, -1).result(20)
        with pytest.raises(futures.thread.BrokenThreadPool):
            pool.submit(abs, -1)
    assert "Exception in initializer:" in caplog.text


def test_a_context_whose_run_raises_fails_the_task(futures):
    log = []
    with make_class(futures, log, fail={"run"})(1) as pool:
        for _ in range(2):
            assert isinstance(pool.submit(abs, -1).exception(20), KeyError)
    assert log.count("create") == 1 and log[-1] == "finalize"


def test_a_task_that_cannot_be_resolved_raises_from_submit(futures):
    with make_class(futures, [], fail={"resolve"})(1) as pool:
        with pytest.raises(LookupError, match="resolve"):
            pool.submit(abs, -1)
        assert not pool._threads and pool._work_queue.qsize() == 0


def test_a_context_that_is_shared_by_all_tasks_of_a_thread(futures):
    class Counting(futures.thread.WorkerContext):
        count = 0

        def run(self, task):
            self.count += 1
            return self.count, super().run(task)

    class Pool(futures.ThreadPoolExecutor):
        @classmethod
        def prepare_context(cls, initializer, initargs):
            return Counting.prepare(initializer, initargs)

    with Pool(1) as pool:
        assert [pool.submit(abs, -i).result(20) for i in range(3)] == [
            (1, 0),
            (2, 1),
            (3, 2),
        ]


def test_the_instance_attributes_may_be_replaced(futures):
    """Subclasses assign them after the standard constructor ran."""

    class Pool(futures.ThreadPoolExecutor):
        def __init__(self):
            super().__init__(1)
            resolve = self._resolve_work_item_task
            self._resolve_work_item_task = lambda fn, args, kwargs: resolve(
                lambda *a, **k: ("wrapped", fn(*a, **k)), args, kwargs
            )

    with Pool() as pool:
        assert pool.submit(abs, -1).result(20) == ("wrapped", 1)
        assert list(pool.map(abs, [-2])) == [("wrapped", 2)]


def test_create_worker_context_may_be_replaced(futures):
    made = []
    with futures.ThreadPoolExecutor(2) as pool:
        create = pool._create_worker_context

        def watched():
            made.append(create())
            return made[-1]

        pool._create_worker_context = watched
        assert pool.submit(abs, -1).result(20) == 1
        assert len(made) == 1


def test_a_broken_class_of_ones_own(futures, caplog):
    class Broken(futures.BrokenExecutor):
        pass

    class Pool(futures.ThreadPoolExecutor):
        BROKEN = Broken

    def fail():
        raise ValueError

    with Pool(1, initializer=fail) as pool:
        assert type(pool.submit(abs, 1).exception(20)) is Broken
        with pytest.raises(Broken):
            pool.submit(abs, 1)


def test_initializer_failed_is_called(futures, caplog):
    calls = []

    class Pool(futures.ThreadPoolExecutor):
        def _initializer_failed(self):
            calls.append(1)
            super()._initializer_failed()

    def fail():
        raise ValueError

    with Pool(1, initializer=fail) as pool:
        pool.submit(abs, 1).exception(20)
    assert calls == [1]


def test_a_context_with_work_left_at_exit_is_finalized(futures, script):
    outcome = script(
        """
        class Context(futures.thread.WorkerContext):
            def finalize(self):
                print("finalize")
        class Pool(futures.ThreadPoolExecutor):
            @classmethod
            def prepare_context(cls, initializer, initargs):
                return Context.prepare(initializer, initargs)
        pool = Pool(1)
        for i in range(3):
            pool.submit(print, i)
        """
    )
    assert outcome.check().lines == ["0", "1", "2", "finalize"]
