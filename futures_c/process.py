"""The process pool: what happens once per executor or once per process.

The way of a call, from `submit` to the result, is native (``src/python`` and
``src/ipc``); here are construction, the start of workers, what a worker does
before and after its calls, deaths, `shutdown` and the end of the interpreter.
Every name of ``concurrent.futures.process`` that is not defined here is the
standard object of the running version.
"""

from __future__ import annotations

import multiprocessing as mp
import multiprocessing.connection
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import process as _standard
from concurrent.futures._base import (  # type: ignore[attr-defined]
    InvalidStateError,
    _result_or_cancel,
)
from concurrent.futures.process import (
    EXTRA_QUEUED_CALLS,
    BrokenProcessPool,
    _chain_from_iterable_of_lists,
    _check_system_limits,
    _ExceptionWithTraceback,
    _process_chunk,
    _RemoteTraceback,
)
from contextlib import suppress
from functools import partial
from itertools import islice
from operator import index
from traceback import format_exception

# With `_base`: whoever has run out of descriptors cannot load it any more.
from futures_c import _base, _native
from futures_c._forward import forward
from futures_c._manager import (
    _CallQueue,
    _ExecutorManagerThread,
    _python_exit,
    _see_to_exit,
    _threads_wakeups,
    _ThreadWakeup,
    _unmanaged,
)
from futures_c._native import Hub
from futures_c._others import refuse_greenlets
from futures_c._worker import Seat, process_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    # typing takes as long to import as all of the package; annotations resolve.
    Any = object
del TYPE_CHECKING

__getattr__, __dir__ = forward(globals(), _standard)

_Standard = _standard.ProcessPoolExecutor
_NativePool = _native._make_process_pool_type(_Standard)

# Tests of the interpreter replace the standard module's; they came with 3.14.
_standard_spawn_worker = getattr(_standard, "_spawn_worker", None)

_TERMINATE = "terminate"
_KILL = "kill"

# typeshed has tracebacks where their texts are meant.
_remote: Callable[[str], BaseException] = _RemoteTraceback  # type: ignore[assignment]
_with_traceback: Callable[[BaseException, Any], object] = _ExceptionWithTraceback


# --- called by the native half --------------------------------------------------


def _pickling_failed(error: BaseException) -> None:
    """Give what pickling a call raised its traceback as the cause."""
    text = "".join(format_exception(type(error), error, error.__traceback__))
    error.__cause__ = _remote(f'\n"""\n{text}"""')


def _unreadable(what: str, cause: BaseException) -> BrokenProcessPool:
    """What becomes of a future whose call or result cannot be unpickled."""
    place = "in a worker process" if what == "call" else "in this process"
    error = BrokenProcessPool(f"The {what} of this future cannot be unpickled {place}.")
    error.__cause__ = cause
    return error


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _wrap_exception(error: BaseException) -> object:
    """What a worker sends for an exception."""
    try:
        return _with_traceback(error, error.__traceback__)
    except Exception as reason:
        # Formatting a traceback looks into the modules that it goes through,
        # and may raise.  What the call has raised is worth more.
        error.__traceback__ = None
        wrapped = _ExceptionWithTraceback.__new__(_ExceptionWithTraceback)
        wrapped.exc = error
        wrapped.tb = f'\n"""\n(no traceback: {type(reason).__name__})"""'  # type: ignore[assignment]
        return wrapped


def _wrap_text(error: BaseException) -> object:
    """The same where it cannot be pickled, nor what pickling it raises."""
    text = f"cannot pickle what a call has raised: {type(error).__name__}"
    return _with_traceback(RuntimeError(text), None)


# --- starting a process ---------------------------------------------------------


def _spawn_worker(
    mp_context: Any,
    call_queue: Seat,
    result_queue: None,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    max_tasks_per_child: int | None,
    processes: dict[int, Any],
) -> None:
    """Start one worker process and record it in *processes* by its number.

    The signature is that of the standard module's function on 3.15.
    """
    process = mp_context.Process(
        target=process_worker,
        args=(call_queue, result_queue, initializer, initargs, max_tasks_per_child),
    )
    process.start()
    processes[process.pid] = process


# --- the executor ---------------------------------------------------------------------


def _default_workers() -> int:
    count = getattr(os, "process_cpu_count", os.cpu_count)
    return count() or 1


def _gone() -> None:
    """Stand for the function of a call that has been sent."""


class ProcessPoolExecutor(_NativePool):  # type: ignore[misc, valid-type]
    """Run calls in a pool of at most *max_workers* processes.

    A native subclass of `concurrent.futures.ProcessPoolExecutor`; everything
    that its documentation says of the running version holds.

    Args:
        max_workers: the most processes there may be; by default as many as the
            process may use CPUs.
        mp_context: what `multiprocessing.get_context` returns for a start
            method; by default that of the running version.
        initializer: called in each process before its first call.
        initargs: the arguments that it is called with.
        max_tasks_per_child: after how many calls a process ends and another one
            takes its place; None: never.  Not with the start method "fork";
            without *mp_context* it means "spawn".

    Raises:
        ValueError: *max_workers* or *max_tasks_per_child* is not positive, or
            the latter is given with "fork".
        TypeError: *initializer* is neither None nor callable, or an argument is
            of a wrong type.
        NotImplementedError: the system lacks what multiprocessing needs.
        OSError: the system refuses memory or descriptors.

    Since 0.1.

    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> None:
        _check_system_limits()
        if max_workers is None:
            max_workers = _default_workers()
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if mp_context is None:
            method = "spawn" if max_tasks_per_child is not None else None
            mp_context = mp.get_context(method)
        method = mp_context.get_start_method(allow_none=False)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            if method == "fork":
                # https://github.com/python/cpython/issues/90622
                raise ValueError(
                    "max_tasks_per_child is incompatible with"
                    " the 'fork' multiprocessing start method;"
                    " supply a different mp_context."
                )
        self._max_workers = max_workers
        self._mp_context = mp_context
        # fork() beside the pool's own thread may leave locks taken in the child
        # (gh-90622): with it all workers are started before that thread.
        self._safe_to_dynamically_spawn_children = method != "fork"
        self._initializer = initializer
        self._initargs = initargs
        self._max_tasks_per_child = max_tasks_per_child
        self._broken = False
        self._shutdown_thread = False
        self._cancel_pending_futures = False
        self._force_shutting_down = False
        self._set_up()

    def _set_up(self) -> None:
        """Make what belongs to one process."""
        self._starts_all = not self._safe_to_dynamically_spawn_children
        self._started = False
        self._starting = False
        self._shutdown_lock = threading.Lock()
        # Held while workers are started; reentrant, for a signal handler may
        # submit in the middle of it.
        self._start_lock = threading.RLock()
        self._executor_manager_thread: _ExecutorManagerThread | None = None
        self._processes: dict[int, Any] | None = {}
        self._seats: dict[int, int] = {}
        self._hub: Hub | None = Hub(max(index(self._max_workers), 1))
        self._call_queue: _CallQueue | None = _CallQueue()
        self._result_queue = None
        self._executor_manager_thread_wakeup: Any = _ThreadWakeup()
        self._executor_manager_thread_wakeup._hub = self._hub

    @property
    def _pending_work_items(self) -> dict[int, Any]:
        """The calls that are not done, as the standard module has them."""
        hub = self._hub
        if hub is None or hub.inherited:
            return {}
        futures = hub.pending(True)
        items = (_standard._WorkItem(future, _gone, (), {}) for future in futures)
        return dict(enumerate(items))

    def _start_worker(
        self, hub: Hub, processes: dict[int, Any], seats: dict[int, int]
    ) -> None:
        """Start one more worker in an empty seat; raise what its start raises."""
        refuse_greenlets()
        # Of its own: a signal handler that submits may start one meanwhile.
        started: dict[int, Any] = {}
        place: list[tuple[int, int]] = []
        spawn: Callable[..., None] = _spawn_worker
        replaced = getattr(_standard, "_spawn_worker", None)
        if replaced is not None and replaced is not _standard_spawn_worker:
            spawn = replaced
        if not self._started:
            # The exit is to know of it, should the pool's thread not begin.
            _unmanaged[id(self)] = self
            _see_to_exit()
        try:
            hub.open_seat(place)
            ((number, start),) = place
            spawn(
                self._mp_context,
                Seat(hub, number, start),
                None,
                self._initializer,
                self._initargs,
                self._max_tasks_per_child,
                started,
            )
            processes.update(started)
            hub.admit_seat(number)
            self._watch(hub, started, number, seats)
        except BaseException:
            # There may be a process all the same: Ctrl-C, or a warning that is an
            # error, can come just after it was forked.  It ends by itself when it
            # finds that it is not admitted.
            for number, _ in place:
                if hub.withdraw_seat(number):
                    for pid in started:
                        processes.pop(pid, None)
                else:
                    self._watch(hub, started, number, seats)
            raise

    def _watch(
        self, hub: Hub, started: dict[int, Any], number: int, seats: dict[int, int]
    ) -> None:
        """Have the end of a new worker noticed.  Twice does no harm."""
        seats.update(dict.fromkeys(started, number))
        if self._started:
            hub.ring()
        if (
            self._broken
            or (self._shutdown_thread and not self._started)
            or hub.dismissed
        ):
            # The pool has ended meanwhile, and nobody may see to this one.
            hub.dismiss()
            for process in started.values():
                process.join()

    # --- called by the native half ---

    def _begin_afresh(self) -> None:
        """Leave workers and futures behind, in a forked child."""
        with _afresh_lock:
            if self._hub is not None and self._hub.inherited:
                self._set_up()

    def _adjust_process_count(self) -> bool:
        """Start a worker if the calls to come need it; say whether it did."""
        hub = self._hub
        processes = self._processes
        if hub is None or processes is None or self._force_shutting_down:
            return False
        with self._start_lock:
            if len(processes) >= self._max_workers or not hub.wants_worker():
                return False
            self._start_worker(hub, processes, self._seats)
            return True

    def _launch_processes(self) -> None:
        """Start all workers."""
        hub, processes = self._hub, self._processes
        if hub is None or processes is None:
            # shutdown() came meanwhile.
            return
        while len(processes) < min(self._max_workers, hub.seats):
            self._start_worker(hub, processes, self._seats)

    def _start_executor_manager_thread(self) -> None:
        """Start the pool's thread, and before it the workers that are forked."""
        hub, processes = self._hub, self._processes
        with self._start_lock:
            if self._started or self._starting or hub is None or processes is None:
                # Also in a signal handler in the middle of this.
                return
            try:
                self._starting = True
                self._start_managing(hub, processes)
            finally:
                self._starting = False

    def _start_managing(self, hub: Hub, processes: dict[int, Any]) -> None:
        # Made before any fork, after which each page that is written to is copied.
        # It starts also where shutdown() came meanwhile, in a signal handler or in
        # another thread: then it ends the pool at once.
        refuse_greenlets()
        thread = _ExecutorManagerThread(self, hub, processes)
        try:
            if not self._safe_to_dynamically_spawn_children:
                self._launch_some(processes)
            thread.start()
            self._enlist(thread, hub)
        except BaseException as error:
            # Ctrl-C can come anywhere in this, and when the thread is there.
            if not thread.abandon():
                self._enlist(thread, hub)
            elif processes and hub.unfinished:
                # A signal handler has submitted meanwhile.
                thread = _ExecutorManagerThread(self, hub, processes)
                thread.start()
                self._enlist(thread, hub)
            else:
                # Nobody would ever dismiss these.
                self._abandon_processes(hub, processes)
            if str(error) == "release unlocked lock" and error.__context__ is not None:
                # What threading makes of an exception that comes while start() takes
                # its lock again.
                raise error.__context__ from None
            raise

    def _launch_some(self, processes: dict[int, Any]) -> None:
        """Start all workers, or as many as the system lets there be."""
        try:
            self._launch_processes()
        except Exception:
            # With those there are the pool works.
            if not processes:
                raise

    def _enlist(self, thread: _ExecutorManagerThread, hub: Hub) -> None:
        """Have the exit, and shutdown(), know of the pool's thread."""
        _threads_wakeups[thread] = thread.thread_wakeup
        if self._hub is hub:
            self._executor_manager_thread = thread
        self._started = True
        _unmanaged.pop(id(self), None)
        # Who has submitted in a signal handler may have started a worker since.
        hub.ring()

    def _dismiss_unmanaged(self) -> None:
        """Let workers leave whose pool has no thread, since Ctrl-C came before."""
        hub = self._hub
        # Whoever holds the lock is starting that thread.
        if hub is not None and self._start_lock.acquire(blocking=False):
            try:
                if not (self._started or self._starting or hub.unfinished):
                    hub.dismiss()
            finally:
                self._start_lock.release()

    def _abandon_processes(self, hub: Hub, processes: dict[int, Any]) -> None:
        """End the workers that were started for a thread that cannot start."""
        for pid, process in list(processes.items()):
            process.kill()
            process.join()
            hub.close_seat(self._seats.pop(pid))
            del processes[pid]

    # --- map ---

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Return an iterator over fn(*inputs) for the inputs in zip(*iterables).

        The calls run in the workers, in any order; the results come in the order
        of the inputs.

        Args:
            fn: the function; it and the inputs are pickled.
            iterables: as many as *fn* takes arguments.
            timeout: seconds from the call of map() that bound the wait for each
                result; None waits without limit.
            chunksize: so many inputs travel, and fail, together, where they are
                not plain values from containers, which take care of themselves.
            buffersize: only so many chunks are drawn ahead of the results that
                were handed out; None draws all inputs before map() returns.

        Raises:
            TimeoutError: when the next result is not there in time.
            Exception: what a call raised, when its result is asked for.
            ValueError: *chunksize* or *buffersize* is not positive.
            TypeError: *chunksize* or *buffersize* is no integer.
            RuntimeError: after shutdown().
            BrokenProcessPool: a worker has died.

        Since 0.1; *buffersize* on every version.

        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        chunksize = index(chunksize)
        if buffersize is not None:
            if not isinstance(buffersize, int):
                raise TypeError("buffersize must be an integer or None")
            if buffersize < 1:
                raise ValueError("buffersize must be None or > 0")
        if (
            buffersize is None
            and self._max_tasks_per_child is None
            and self._submits_natively()
        ):
            # These choose how many travel together, and none waits for another.
            batches: Iterator[Any] | None = self._map_batches(fn, iterables, timeout)
            if batches is not None:
                return batches
        if chunksize == 1:
            return self._map(fn, zip(*iterables), timeout, buffersize)
        chunks = ((chunk,) for chunk in _batched(zip(*iterables), chunksize))
        results = self._map(partial(_process_chunk, fn), chunks, timeout, buffersize)
        chained: Iterator[Any] = _chain_from_iterable_of_lists(results)
        return chained

    def _map(
        self,
        fn: Callable[..., Any],
        inputs: Iterator[tuple[Any, ...]],
        timeout: float | None,
        buffersize: int | None,
    ) -> Iterator[Any]:
        if timeout is not None:
            end = timeout + time.monotonic()
        submit = self.submit
        first = inputs if buffersize is None else islice(inputs, buffersize)
        futures = deque(submit(fn, *args) for args in first)
        executor = weakref.ref(self)
        del submit

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

    # --- the end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; let the workers leave when all is done.

        Args:
            wait: return only when the workers have ended.
            cancel_futures: cancel the futures whose calls have not begun.

        It may be called again, from any thread and from a signal handler.
        Since 0.1.

        """
        # No lock: a signal handler may call this in the middle of anything.
        self._cancel_pending_futures = cancel_futures
        self._shutdown_thread = True
        hub = self._hub
        thread = self._executor_manager_thread
        if hub is not None and not hub.inherited:
            hub.close()
            hub.ring()
            if thread is None:
                self._dismiss_unmanaged()
            elif wait:
                thread.join()
        self._executor_manager_thread = None
        self._call_queue = None
        self._result_queue = None
        self._processes = None
        self._executor_manager_thread_wakeup = None
        self._hub = None

    def _force_shutdown(self, operation: str) -> None:
        """End the workers by *operation*, one of _TERMINATE and _KILL."""
        if operation not in (_TERMINATE, _KILL):
            raise ValueError(f"Unsupported operation: {operation!r}")
        with self._shutdown_lock:
            # No worker takes the place of another one from now on.
            self._force_shutting_down = True
        processes = dict(self._processes or {})
        # Not waiting: a process may decide not to end.
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes.values():
            try:
                if not process.is_alive():
                    continue
            except ValueError:
                continue  # It was closed.
            with suppress(ProcessLookupError):
                if operation == _TERMINATE:
                    process.terminate()
                else:
                    process.kill()

    def terminate_workers(self) -> None:
        """Send SIGTERM to all workers and take no more calls.

        Calls that run or wait end with BrokenProcessPool or are cancelled.
        Since 0.1, on every version.
        """
        return self._force_shutdown(operation=_TERMINATE)

    def kill_workers(self) -> None:
        """Send SIGKILL to all workers and take no more calls.

        Calls that run or wait end with BrokenProcessPool or are cancelled.
        Since 0.1, on every version.
        """
        return self._force_shutdown(operation=_KILL)


# Held by the thread of a forked child that finds an inherited executor first.
_afresh_lock = threading.RLock()
os.register_at_fork(after_in_child=_afresh_lock._at_fork_reinit)  # type: ignore[attr-defined]


def _batched(iterable: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """itertools.batched(), which came with 3.12."""
    iterator = iter(iterable)
    while chunk := tuple(islice(iterator, size)):
        yield chunk
