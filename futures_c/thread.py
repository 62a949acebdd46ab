"""The thread pool: what happens once per executor or once per thread.

The way of a task, from `submit` to the result, is native (``src/python``);
here are construction, the start of threads, broken initializers, `shutdown`,
fork and the end of the interpreter.  Every name of
``concurrent.futures.thread`` that is not defined here is the standard object
of the running version.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import thread as _standard
from concurrent.futures._base import (  # type: ignore[attr-defined]
    InvalidStateError,
    _result_or_cancel,
)
from concurrent.futures.thread import BrokenThreadPool
from contextlib import nullcontext, suppress
from functools import cached_property, partial
from itertools import islice

from futures_c import _base, _native
from futures_c._forward import forward
from futures_c._native import Future
from futures_c._others import refuse_greenlets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    # typing takes as long to import as all of the package; annotations resolve.
    Any = object
del TYPE_CHECKING

__getattr__, __dir__ = forward(globals(), _standard)

_Standard = _standard.ThreadPoolExecutor
_NativePool = _native._make_pool_type(_Standard)

# Worker contexts came with 3.14.
_HAS_CONTEXTS = hasattr(_Standard, "prepare_context")

# The standard module's name and use: which thread works for which queue.
# Programs clear it, and `_threads`, when they are interrupted.
_threads_queues: weakref.WeakKeyDictionary[threading.Thread, Any] = (
    weakref.WeakKeyDictionary()
)
# All queues of this process, also those that nobody finds any longer in the
# dictionary above: at exit their idle workers must be told.
_queues: weakref.WeakSet[Any] = weakref.WeakSet()
_shutdown = False
# The most that the exit waits for those who are just starting a worker.
_START_SECONDS = 10.0
# Held by the thread of a forked child that finds an inherited executor first.
_afresh_lock = threading.RLock()
# The most that shutdown() waits for them: one that a signal handler has
# interrupted may take any time.
_SUBMIT_SECONDS = 1.0
# The most that shutdown(cancel_futures=True) waits for threads that have just
# been started.  They need 0.1 ms; a signal handler may have interrupted the
# very call that starts one.
_FIRST_TASK_SECONDS = 1.0

_AFTER_EXIT = "cannot schedule new futures after interpreter shutdown"

# How long to wait for a thread to run before looking whether its start failed.
_SLICE = 0.05


# --- exit ---------------------------------------------------------------------
#
# 1. The main thread ends; threading calls _python_exit() before it joins the
#    non-daemon threads.
# 2. The module's state is marked: idle workers leave instead of parking, also
#    those of executors made from now on.
#    Daemon threads go on running, and one of them may be starting a worker:
#    whoever does so says it first and looks at the mark then, and the exit waits
#    for those who have not seen it.  Nobody would join such a worker.
# 3. Every queue is closed, which wakes its parked workers.  What is queued
#    still runs, as with the standard module.
# 4. The workers that are known are joined.  A non-daemon thread of the
#    program may go on submitting, to workers that leave when they are idle;
#    the threads of pools themselves may not, or a task that submits itself
#    again would never let the process end.
# 5. threading joins the threads that are left; atexit callbacks follow, whose
#    submit() raises.


def _all_queues() -> list[Any]:
    while True:
        try:
            return list(_queues)
        except RuntimeError:
            pass  # another thread made an executor meanwhile: look again


def _know_queue(work_queue: Any) -> None:
    _queues.add(work_queue)
    if _shutdown:
        # It was made while the exit looked for queues.
        work_queue._close()


def _python_exit() -> None:
    global _shutdown
    _shutdown = True
    _native._set_exiting()
    try:
        end = time.monotonic() + _START_SECONDS
        for work_queue in _all_queues():
            _await_starts(work_queue, end)
    finally:
        # Also after Ctrl-C: who is idle would never leave.
        workers = list(_threads_queues.items())
        for work_queue in _all_queues():
            work_queue._close()
        for _, work_queue in workers:
            if not isinstance(work_queue, _native.WorkQueue):
                work_queue.put(None)
    for thread, _ in workers:
        thread.join()


def _await_starts(work_queue: Any, end: float) -> None:
    """Wait for the submit()s that are starting a worker; `end` is monotonic.

    They have not seen what the caller has done or is about to do.
    """
    latest = work_queue._latest_start()
    while work_queue._is_starting(latest) and time.monotonic() < end:
        time.sleep(0.0005)


# Called in reverse order of registration: before the standard module's own.
threading._register_atexit(_python_exit)  # type: ignore[attr-defined]

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads_queues.clear)
    os.register_at_fork(after_in_child=_queues.clear)
    os.register_at_fork(after_in_child=_native._forked)
    os.register_at_fork(after_in_child=_afresh_lock._at_fork_reinit)  # type: ignore[attr-defined]


# --- threads ------------------------------------------------------------------


class _Started(threading.Event):
    """The event by which a thread says that it runs, not waited for by start().

    Waiting for it is most of what starting a thread costs.
    """

    def wait(self, timeout: float | None = None) -> bool:
        return True

    def really_wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout)


class _WorkerThread(threading.Thread):
    """A thread of a pool: it exists when start() returns, but may not run yet.

    Whoever looks at it more closely waits until it does, or until its start
    has failed: its worker is abandoned then.
    """

    def __init__(self, name: str, worker: Any) -> None:
        super().__init__(name=name, target=worker)
        self._started = _Started()
        self._starter: int | None = threading.get_ident()

    def _is_abandoned(self) -> bool:
        worker = getattr(self, "_target", None)  # Gone when it has run.
        return worker is not None and worker.abandoned

    def _is_mine_to_start(self) -> bool:
        # A signal handler or a finalizer asks in the middle of start().
        return self._starter == threading.get_ident() and not self._started.is_set()

    def _await_start(self, timeout: float | None = None) -> None:
        # Event.wait() may leave the event locked where memory runs out.
        if self._started.is_set() or self._is_mine_to_start():
            return
        if threading.current_thread() is self:
            return
        end = None if timeout is None else time.monotonic() + timeout
        while not self._is_abandoned():
            # In slices, since nobody tells when a start has failed.
            left = _SLICE if end is None else min(end - time.monotonic(), _SLICE)
            if self._started.really_wait(max(left, 0)) or left <= 0:
                return

    def join(self, timeout: float | None = None) -> None:
        if timeout is None:
            self._await_start()
        else:
            timeout = max(timeout, 0)
            end = time.monotonic() + timeout
            self._await_start(timeout)
            timeout = max(end - time.monotonic(), 0)
        if self._is_abandoned() and not self._started.is_set():
            return
        if self._started.is_set() or self._is_mine_to_start():
            super().join(timeout)

    def join_or_abandon(self) -> None:
        """Join it; or see to it that it ends at once, if that is not possible."""
        if self._is_mine_to_start():
            worker = getattr(self, "_target", None)
            if worker is not None and worker.abandon():
                return
            # It has begun, so it will say that it runs.
            self._starter = None
        self.join()

    def is_alive(self) -> bool:
        if self._started.is_set():
            return super().is_alive()
        return not self._is_abandoned()

    @property
    def ident(self) -> int | None:
        self._await_start()
        return super().ident

    @property
    def native_id(self) -> int | None:
        self._await_start()
        return super().native_id


# --- the executor -------------------------------------------------------------


def _default_workers() -> int:
    count = getattr(os, "process_cpu_count", os.cpu_count)
    return min(32, (count() or 1) + 4)


class ThreadPoolExecutor(_NativePool):  # type: ignore[misc, valid-type]
    """Run calls in a pool of at most *max_workers* threads.

    A native subclass of `concurrent.futures.ThreadPoolExecutor`; everything
    that its documentation says of the running version holds.

    Args:
        max_workers: the most threads there may be; by default four more than
            the process may use CPUs, at most 32.
        thread_name_prefix: what the threads' names begin with.
        initializer: called in each thread before its first task.
        initargs: the arguments that it is called with.

    Raises:
        ValueError: *max_workers* is not positive.
        TypeError: *initializer* is neither None nor callable, or an argument
            is of a wrong type.

    Since 0.1.

    """

    BROKEN = BrokenThreadPool

    if _HAS_CONTEXTS:

        def __init__(
            self,
            max_workers: int | None = None,
            thread_name_prefix: str = "",
            initializer: Callable[..., object] | None = None,
            initargs: tuple[Any, ...] = (),
            **ctxkwargs: Any,
        ) -> None:
            max_workers = _check_max_workers(max_workers)
            create, resolve = type(self).prepare_context(
                initializer, initargs, **ctxkwargs
            )
            self._set_up(max_workers, thread_name_prefix, initializer, initargs)
            self.__dict__["_create_worker_context"] = create
            self.__dict__["_resolve_work_item_task"] = resolve
            prepare = getattr(type(self).prepare_context, "__func__", None)
            if prepare is not _Standard.__dict__["prepare_context"].__func__:
                self._in_context = True

    else:

        def __init__(  # type: ignore[misc]
            self,
            max_workers: int | None = None,
            thread_name_prefix: str = "",
            initializer: Callable[..., object] | None = None,
            initargs: tuple[Any, ...] = (),
        ) -> None:
            max_workers = _check_max_workers(max_workers)
            if initializer is not None and not callable(initializer):
                raise TypeError("initializer must be a callable")
            self._set_up(max_workers, thread_name_prefix, initializer, initargs)

    def _set_up(
        self,
        max_workers: int,
        thread_name_prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self._threads: set[threading.Thread] = set()
        self._broken: bool | str = False
        self._shutdown = False
        self._shutdown_lock = threading.Lock()
        self._thread_name_prefix = thread_name_prefix or (
            f"ThreadPoolExecutor-{self._counter()}"
        )
        self._initializer = initializer
        self._initargs = initargs
        _know_queue(self._open(max_workers))
        # A subclass that starts its threads itself gets the standard way of
        # doing things: it is asked after each submit().
        adjust = type(self)._adjust_thread_count
        self._foreign = adjust is not _Standard._adjust_thread_count

    if _HAS_CONTEXTS:

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name in ("_create_worker_context", "_resolve_work_item_task"):
                # From now on each task goes through its worker's context.
                self._in_context = True

    @cached_property
    def _idle_semaphore(self) -> threading.Semaphore:
        # Counted by the standard module's workers only.
        return threading.Semaphore(0)

    # --- called by the native half ---

    def _start_worker(self, number: int, worker: Any) -> None:
        """Start thread *number* for a worker; raise what its start raises."""
        if _shutdown and threading.current_thread().daemon:
            # The exit has not seen it, and nobody would join the worker.
            raise RuntimeError(_AFTER_EXIT)
        refuse_greenlets()
        context = self._create_worker_context() if self._in_context else None
        worker.prepare(
            weakref.ref(self),
            self._initializer,
            self._initargs,
            context,
            partial(_break_queue, self.BROKEN),
        )
        name = f"{self._thread_name_prefix or self}_{number}"
        thread = _WorkerThread(name, worker)
        try:
            # Known before it runs: an exception that a signal handler raises in
            # here leaves no thread behind that nobody joins, nor does the exit.
            self._threads.add(thread)
            _threads_queues[thread] = self._work_queue
            thread.start()
        except BaseException:
            # Interrupted rather than failed, the thread may be there, and may
            # even have begun: then it is one of ours.
            if worker.abandon():
                # Should one of these be interrupted, too: nobody waits for it.
                self._threads.discard(thread)
                _threads_queues.pop(thread, None)
            raise
        finally:
            thread._starter = None
        if _shutdown:
            # threading's exit knows of a thread only when it runs, and this one
            # was made too late for _python_exit() to join it.
            thread._await_start()

    def _begin_afresh(self) -> None:
        """Leave the threads and the queue behind, in a forked child."""
        with _afresh_lock:
            work_queue = self._renew()
            if work_queue is not None:
                self._threads = set()
                self._shutdown_lock = threading.Lock()
                self.__dict__.pop("_idle_semaphore", None)
                _know_queue(work_queue)

    def _may_submit_at_exit(self) -> bool:
        """Whether the calling thread may still submit; see `_python_exit`."""
        thread = threading.current_thread()
        return not (
            thread is threading.main_thread()
            or thread.daemon
            or thread in _threads_queues
        )

    def _submit_by_queue(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Future[Any]:
        """Submit as the standard module does: by `_work_queue`, whatever it is."""
        future: Future[Any] = Future()
        if _HAS_CONTEXTS:
            task = self._resolve_work_item_task(fn, args, kwargs)
            item: Any = _standard._WorkItem(future, task)
        else:
            # As it was before 3.14.
            item = _standard._WorkItem(future, fn, args, kwargs)  # type: ignore[call-arg, arg-type]
        with self._shutdown_lock:
            if self._broken:
                raise self.BROKEN(self._broken)
            if self._shutdown:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._work_queue.put(item)
            self._adjust_thread_count()
        return future

    def _map_by_submit(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Any, ...],
        timeout: float | None,
        buffersize: int | None,
    ) -> Iterator[Any]:
        """Map by `self.submit`, which someone has overridden or replaced."""
        if timeout is not None:
            end = timeout + time.monotonic()
        inputs = zip(*iterables)
        first = inputs if buffersize is None else islice(inputs, buffersize)
        futures = deque(self.submit(fn, *args) for args in first)
        executor = weakref.ref(self)

        def results() -> Iterator[Any]:
            try:
                while futures:
                    if (
                        buffersize is not None
                        and (pool := executor()) is not None
                        and (args := next(inputs, None)) is not None
                    ):
                        futures.append(pool.submit(fn, *args))
                    left = None if timeout is None else end - time.monotonic()
                    # No reference is kept to what is handed out.
                    yield _result_or_cancel(futures.popleft(), left)
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def _initializer_failed(self) -> None:
        """A worker could not be initialized: nothing runs here any more."""
        self._broken = _BROKEN_TEXT
        _break_queue(self.BROKEN, self._work_queue)

    def _await_first_tasks(self, work_queue: Any) -> None:
        """Let each thread that was started take the task it was started for.

        With the standard module that is so, because submit() waits for the
        thread: of what is cancelled right afterwards, the first tasks run.
        An initializer is not waited for.
        """
        end = time.monotonic() + _FIRST_TASK_SECONDS
        for thread in list(self._threads):
            if isinstance(thread, _WorkerThread):
                if thread._is_mine_to_start():
                    return
                thread._await_start(max(end - time.monotonic(), 0))
        if self._initializer is None and not self._in_context and not self._foreign:
            while work_queue._starting() and time.monotonic() < end:
                time.sleep(0.0001)

    # --- the end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; let the workers leave when all is done.

        Args:
            wait: return only when the workers have ended.
            cancel_futures: cancel the futures whose calls have not begun.

        It may be called again, from any thread, from a task and from a signal
        handler.  Since 0.1.

        """
        # A signal handler may call this in the middle of anything: submit() holds
        # no lock, but where a queue of others is used, as the standard one does.
        work_queue = self._work_queue
        if isinstance(work_queue, _native.WorkQueue):
            # A submit() is done before or begins afterwards, as where it holds a
            # lock: its worker's initializer may be what calls this.
            _await_starts(work_queue, time.monotonic() + _SUBMIT_SECONDS)
        with self._shutdown_lock if self._foreign else nullcontext():
            self._shutdown = True
        _close(self, work_queue, cancel_futures)
        if wait:
            for thread in list(self._threads):
                if isinstance(thread, _WorkerThread):
                    thread.join_or_abandon()
                else:
                    thread.join()


_BROKEN_TEXT = "A thread initializer failed, the thread pool is not usable anymore"


def _close(pool: ThreadPoolExecutor, work_queue: Any, cancel_futures: bool) -> None:
    """Tell the workers of a pool that takes no more; cancel what is queued or not."""
    # A function of its own, since it is short: where memory runs out and the end of
    # a `try` is more than 256 instructions from the beginning, CPython 3.11 hangs.
    try:
        if cancel_futures:
            pool._await_first_tasks(work_queue)
            for future in _drain(work_queue):
                future.cancel()
    finally:
        if pool._foreign:
            # The standard module's workers pass it on to one another.
            work_queue.put(None)
        _close_native(work_queue)


def _drain(work_queue: Any) -> Iterator[Future[Any]]:
    """Take the futures of all tasks that have not begun."""
    while True:
        try:
            item = work_queue.get_nowait()
        except queue.Empty:
            return
        if item is not None:
            yield item.future


def _break_queue(broken: Callable[[str], BaseException], work_queue: Any) -> None:
    """End what is queued: no worker could be initialized."""
    for future in _drain(work_queue):
        # One that was cancelled, also just now, stays cancelled.
        with suppress(InvalidStateError):
            future.set_exception(broken(_BROKEN_TEXT))


def _check_max_workers(max_workers: int | None) -> int:
    if max_workers is None:
        return _default_workers()
    if max_workers <= 0:
        raise ValueError("max_workers must be greater than 0")
    return max_workers


def _close_native(work_queue: object) -> None:
    if isinstance(work_queue, _native.WorkQueue):
        work_queue._close()
