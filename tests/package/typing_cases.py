"""What type checkers make of futures_c; tools/stubs has mypy read this.

Each line that must not pass carries the error it gives; mypy complains of an
ignored error that is none.  Nothing here is run.
"""

import concurrent.futures
import sys
from collections.abc import Callable, Iterator
from typing import Any, assert_type

import futures_c as concurrent_futures
from futures_c import BrokenProcessPool, BrokenThreadPool, Future, ThreadPoolExecutor


def length(text: str, *, twice: bool = False) -> int:
    """Measure a text."""
    return len(text) * (2 if twice else 1)


def submit_keeps_the_signature(pool: ThreadPoolExecutor) -> None:
    """Arguments are checked against the function's, results known."""
    future = pool.submit(length, "text", twice=True)
    assert_type(future, Future[int])
    assert_type(future.result(), int)
    assert_type(future.exception(1.5), BaseException | None)
    pool.submit(length, 1)  # type: ignore[arg-type]
    pool.submit(length, "text", thrice=True)  # type: ignore[call-arg]
    pool.submit()  # type: ignore[call-arg]


def map_yields_results(pool: ThreadPoolExecutor) -> None:
    """With the parameters of every version."""
    results = pool.map(length, ["a", "b"], timeout=3, chunksize=4, buffersize=2)
    assert_type(results, Iterator[int])
    pool.map(length, ["a"], buffersize="2")  # type: ignore[arg-type]


def waiting_keeps_the_class(futures: set[Future[int]]) -> None:
    """What is not done can be waited for again."""
    while futures:
        done, futures = concurrent_futures.wait(
            futures, 1, concurrent_futures.FIRST_COMPLETED
        )
        assert_type(done, set[Future[int]])
    for future in concurrent_futures.as_completed(list(done), timeout=0.5):
        assert_type(future, Future[int])


def mixtures(
    ours: Future[int], theirs: "concurrent.futures.Future[int]"
) -> "concurrent.futures.Future[int]":
    """Native and standard futures together; ours is one of theirs."""
    concurrent_futures.wait([ours, theirs])
    concurrent.futures.wait([ours])
    for future in concurrent_futures.as_completed([theirs]):
        assert_type(future.result(), int)
    concurrent_futures.wait([1])  # type: ignore[type-var]
    return ours


def construction(context: Any) -> None:
    """Initializers are called with their arguments."""
    with ThreadPoolExecutor(4, "name", length, ("text",)) as pool:
        assert_type(pool, ThreadPoolExecutor)
    ThreadPoolExecutor(max_workers=2, initializer=print, initargs=("a", 1))
    ThreadPoolExecutor(initializer=length, initargs=(1,))  # type: ignore[arg-type]
    ThreadPoolExecutor(max_worker=2)  # type: ignore[call-overload]
    concurrent_futures.ProcessPoolExecutor(2, context, max_tasks_per_child=3)


def swapped(
    executor: concurrent.futures.Executor,
    make: Callable[..., concurrent.futures.ThreadPoolExecutor],
) -> None:
    """Ours passes where the standard one is asked for."""
    swapped(ThreadPoolExecutor(), ThreadPoolExecutor)
    try:
        executor.submit(length, "text").result()
    except (BrokenThreadPool, BrokenProcessPool, concurrent_futures.BrokenExecutor):
        executor.shutdown(wait=False, cancel_futures=True)


if sys.version_info >= (3, 14):

    def interpreters() -> None:
        """The interpreter pool is both."""
        pool = concurrent_futures.InterpreterPoolExecutor(2)
        both: tuple[ThreadPoolExecutor, concurrent.futures.InterpreterPoolExecutor]
        both = pool, pool
        assert_type(both[0].submit(length, "text"), Future[int])
