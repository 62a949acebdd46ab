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
import select
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import process as _standard
from concurrent.futures._base import (  # type: ignore[attr-defined]
    LOGGER,
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
from multiprocessing import reduction, util
from traceback import format_exception
from types import FrameType
from typing import Any

from futures_c import _native
from futures_c._forward import forward
from futures_c._native import Future, Hub, WorkerEnd

__getattr__, __dir__ = forward(globals(), _standard)

_Standard = _standard.ProcessPoolExecutor
_NativePool = _native._make_process_pool_type(_Standard)

# Tests of the interpreter replace the standard module's; they came with 3.14.
_standard_spawn_worker = getattr(_standard, "_spawn_worker", None)

_TERMINATE = "terminate"
_KILL = "kill"

_BROKEN_TEXT = (
    "A child process terminated abruptly, the process pool is not usable anymore"
)
_FUTURE_TEXT = (
    "A process in the process pool was terminated abruptly "
    "while the future was running or pending."
)

# Seconds that a worker of a broken pool gets to end after SIGTERM; one that
# ignores it is killed.
_GRACE = 5.0

# Seconds that the pool's thread waits while results keep coming: long enough
# for some to gather, and below what anybody notices.
_NAP = 0.00005

# What a shell says of a process that SIGINT has ended.
_INTERRUPTED = 128 + signal.SIGINT

# Which thread manages which pool: joined at exit.
_threads_wakeups: weakref.WeakKeyDictionary[threading.Thread, _ThreadWakeup] = (
    weakref.WeakKeyDictionary()
)
_global_shutdown = False


# --- exit ---------------------------------------------------------------------
#
# 1. The main thread ends; threading calls _python_exit() before it joins the
#    non-daemon threads.
# 2. Nobody can submit any more.
# 3. The threads that manage pools are told.  What was submitted still runs;
#    then each dismisses its workers, waits for them and ends.
# 4. These threads are joined.


def _python_exit() -> None:
    global _global_shutdown
    _global_shutdown = True
    _native._set_exiting()
    items = list(_threads_wakeups.items())
    for _, wakeup in items:
        wakeup.wakeup()
    for thread, _ in items:
        thread.join()


# Called in reverse order of registration: before the standard module's own.
threading._register_atexit(_python_exit)  # type: ignore[attr-defined]

os.register_at_fork(after_in_child=_threads_wakeups.clear)


# --- called by the native half --------------------------------------------------


def _pickling_failed(error: BaseException) -> None:
    """Give what pickling a call raised its traceback as the cause."""
    text = "".join(format_exception(type(error), error, error.__traceback__))
    error.__cause__ = _RemoteTraceback(f'\n"""\n{text}"""')


def _unreadable(what: str, cause: BaseException) -> BrokenProcessPool:
    """What becomes of a future whose call or result cannot be unpickled."""
    place = "in a worker process" if what == "call" else "in this process"
    error = BrokenProcessPool(f"The {what} of this future cannot be unpickled {place}.")
    error.__cause__ = cause
    return error


def _wrap_exception(error: BaseException) -> object:
    """What a worker sends for an exception."""
    return _ExceptionWithTraceback(error, error.__traceback__)


def _wrap_text(error: BaseException) -> object:
    """The same where it cannot be pickled, nor what pickling it raises."""
    text = f"cannot pickle what a call has raised: {type(error).__name__}"
    return _ExceptionWithTraceback(RuntimeError(text), None)


# --- the worker -----------------------------------------------------------------


class _Seat:
    """A worker's place in a pool; travels to its process as an argument."""

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub = hub
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        # As the process starts: multiprocessing hands the descriptors over.
        return _TravelledSeat, (
            reduction.DupFd(self._hub.fd),
            self.number,
            reduction.DupFd(self._hub.ring_fd),
        )

    def attach(self) -> WorkerEnd:
        """Sit down: in a forked worker, which has the parent's descriptors."""
        return WorkerEnd(os.dup(self._hub.fd), self.number, self._hub.ring_fd)


class _TravelledSeat:
    """The same in a process that was not forked from the pool's."""

    def __init__(self, fd: Any, number: int, ring: Any) -> None:
        self._fd = fd
        self._number = number
        self._ring = ring

    def attach(self) -> WorkerEnd:
        """Sit down."""
        return WorkerEnd(self._fd.detach(), self._number, self._ring.detach())


class _Interrupts:
    """What SIGINT does to a worker: the call that runs ends, and so does it.

    Unless somebody has decided otherwise before, or does so in the initializer.
    """

    def __init__(self, end: WorkerEnd) -> None:
        self._end = end
        self.came = False
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._end.interrupt()
        raise KeyboardInterrupt


def _process_worker(
    seat: _Seat | _TravelledSeat,
    results: None,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    max_tasks: int | None = None,
) -> None:
    """Answer calls in a worker process until there are none any more.

    Args:
        seat: where it sits.
        results: what the standard module's worker gets here.
        initializer: called before the first call, or None.
        initargs: the arguments that it is called with.
        max_tasks: the most calls it answers; None: no limit.

    """
    end = seat.attach()
    interrupts = _Interrupts(end)
    try:
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException:
                if interrupts.came:
                    raise
                LOGGER.critical("Exception in initializer:", exc_info=True)
                # The pool finds that this process has ended, and breaks.
                return
        end.serve(max_tasks or 0)
    except KeyboardInterrupt:
        interrupts.came = True
    if interrupts.came:
        # Nobody has to read a traceback of each worker.
        sys.exit(_INTERRUPTED)


def _spawn_worker(
    mp_context: Any,
    call_queue: _Seat,
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
        target=_process_worker,
        args=(call_queue, result_queue, initializer, initargs, max_tasks_per_child),
    )
    process.start()
    processes[process.pid] = process


# --- the pool's thread ------------------------------------------------------------


class _ThreadWakeup:
    """Wakes the thread that manages a pool."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._closed = False

    def wakeup(self) -> None:
        """Have it look at everything once more."""
        self._hub.ring()

    def clear(self) -> None:
        """Forget the calls of wakeup() so far."""
        self._hub.silence()

    def close(self) -> None:
        """Nothing: the hub closes what it has."""
        self._closed = True


class _CallQueue:
    """What `_call_queue` is: the way to the workers has no thread to join."""

    def join_thread(self) -> None:
        """Return at once."""

    def close(self) -> None:
        """Nothing: the hub closes what it has."""


class _Worker:
    """A worker process as the pool's thread sees it."""

    def __init__(self, process: Any, seat: int, own: bool) -> None:
        self.process = process
        self.seat = seat
        self._pidfd = -1
        if own and hasattr(os, "pidfd_open"):
            # The end of the process itself: a sentinel is also ready when a
            # task closes all descriptors, and not while a child of the worker's
            # holds it.  Nobody has waited for it, so the number is its own.
            with suppress(OSError):
                self._pidfd = os.pidfd_open(process.pid)
        self.fd = process.sentinel if self._pidfd < 0 else self._pidfd

    def close(self) -> None:
        """Look at it no longer."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class _ExecutorManagerThread(threading.Thread):
    """Sees to what nobody waits for: callbacks, deaths, the end.

    What it refers to does not refer to the executor, so that this may be
    collected while the thread runs.
    """

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        super().__init__()
        self.hub: Hub = executor._hub
        self.thread_wakeup = executor._executor_manager_thread_wakeup
        self.shutdown_lock = executor._shutdown_lock
        self.processes = executor._processes
        self.seats = executor._seats
        self.max_workers = executor._max_workers
        self.max_tasks_per_child = executor._max_tasks_per_child

        def collected(_: object, wakeup: _ThreadWakeup = self.thread_wakeup) -> None:
            util.debug("Executor collected: waking the thread that manages it")
            wakeup.wakeup()

        self.executor_reference = weakref.ref(executor, collected)
        method = executor._mp_context.get_start_method(allow_none=False)
        self._own = method != "forkserver"
        self._poll = select.poll()
        self._poll.register(self.hub.bell_fd, select.POLLIN)
        self._workers: dict[int, _Worker] = {}

    # --- its loop ---

    def run(self) -> None:
        """Manage the pool until its end."""
        try:
            self._run()
        except BaseException as error:
            self.terminate_broken(format_exception(error))
        finally:
            for worker in self._workers.values():
                worker.close()

    def _run(self) -> None:
        hub = self.hub
        while True:
            ended = hub.attend()
            if hub.insane is not None:
                text = "A worker process has written nonsense into shared memory."
                self.terminate_broken([text])
                return
            if self.is_shutting_down():
                self.flag_executor_shutting_down()
                if not hub.unfinished:
                    self.join_executor_internals()
                    return
            if ended and hub.unfinished:
                time.sleep(_NAP)
                continue
            self._watch_new()
            if hub.listen() and not self._wait():
                return

    def _watch_new(self) -> None:
        """Watch the workers that were started meanwhile."""
        for pid, process in list(self.processes.items()):
            if pid not in self._workers:
                seat = self.seats.get(pid)
                if seat is not None:
                    worker = _Worker(process, seat, self._own)
                    self._workers[pid] = worker
                    self._poll.register(worker.fd, select.POLLIN)

    def _wait(self) -> bool:
        """Sleep until there is something.  False: the pool has broken."""
        ready = {fd for fd, _ in self._poll.poll()}
        self.hub.silence()
        dead = [
            (pid, worker) for pid, worker in self._workers.items() if worker.fd in ready
        ]
        if dead:
            # What they had finished is there.
            self.hub.attend()
        for pid, worker in dead:
            if not self.hub.has_left(worker.seat):
                self.terminate_broken(None)
                return False
            self._bury(pid, worker)
            with self.shutdown_lock:
                broken = self._replace_dead_worker()
            if broken is not None:
                self.terminate_broken(*broken)
                return False
        return True

    def _bury(self, pid: int, worker: _Worker) -> None:
        self._poll.unregister(worker.fd)
        worker.close()
        del self._workers[pid]
        self.processes.pop(pid, None)
        self.seats.pop(pid, None)
        worker.process.join()
        self.hub.close_seat(worker.seat)

    def _replace_dead_worker(self) -> tuple[list[str] | None, str] | None:
        """Start a worker for one that left after its last call.

        Called under the shutdown lock.  Returns None, or why the calls that are
        left can never run.
        """
        cause: list[str] | None = None
        message = ""
        unfinished = self.hub.unfinished
        executor = self.executor_reference()
        if executor is None:
            message = (
                "The ProcessPoolExecutor was garbage collected with work pending "
                "after its last worker process exited upon reaching "
                "max_tasks_per_child; the pending work can never be run."
            )
        elif executor._force_shutting_down:
            message = (
                "A worker process exited while the pool was being forcefully shut "
                "down; work that was still enqueued will not be run."
            )
        elif unfinished or not self.is_shutting_down():
            if len(self.processes) < self.max_workers:
                try:
                    _start_worker(executor, self.hub, self.processes, self.seats)
                except Exception as error:
                    cause = format_exception(error)
                    message = (
                        "A replacement worker process could not be started, leaving "
                        "the pool without workers to run the remaining work."
                    )
        del executor
        if not self.processes and (unfinished or cause is not None):
            return cause, message
        return None

    # --- the end ---

    def is_shutting_down(self) -> bool:
        """Whether no more calls can come."""
        executor = self.executor_reference()
        return _global_shutdown or executor is None or executor._shutdown_thread

    def flag_executor_shutting_down(self) -> None:
        """Take no more calls; cancel those that have not begun, if asked to."""
        self.hub.close()
        executor = self.executor_reference()
        if executor is not None:
            executor._shutdown_thread = True
            if executor._cancel_pending_futures:
                executor._cancel_pending_futures = False
                # A worker that is being started gets the call that it was
                # started for, as with the standard module.
                expected = self.hub.expected()
                for future in self.hub.pending(False):
                    if expected > 0 and not self.hub.is_batch(future):
                        expected -= 1
                    else:
                        future.cancel()

    def join_executor_internals(self) -> None:
        """Let the workers leave, and wait for them."""
        self.hub.dismiss()
        for process in list(self.processes.values()):
            process.join()

    def terminate_broken(
        self, cause: Iterable[str] | None, bpe_message: str | None = None
    ) -> None:
        """End all futures and all workers: the pool is broken."""
        with self.shutdown_lock:
            self._terminate_broken(cause, bpe_message)

    def _terminate_broken(
        self, cause: Iterable[str] | None, bpe_message: str | None
    ) -> None:
        executor = self.executor_reference()
        if executor is not None:
            executor._broken = _BROKEN_TEXT
            executor._shutdown_thread = True
            del executor
        if cause is None:
            cause = self._describe_dead()
        text = "".join(cause)
        traceback = f"\n'''\n{text}'''" if text else None
        for future in self.hub.take_all():
            error = BrokenProcessPool(bpe_message or _FUTURE_TEXT)
            if traceback is not None:
                error.__cause__ = _RemoteTraceback(traceback)
            # It may have been cancelled meanwhile.
            with suppress(InvalidStateError):
                future.set_exception(error)
            del future, error
        self._end_workers()

    def _describe_dead(self) -> list[str]:
        lines = []
        for pid, process in list(self.processes.items()):
            worker = self._workers.get(pid)
            if worker is not None and not process.is_alive():
                process.join()
                lines.append(_describe_death(pid, process.exitcode))
        return ["\n".join(lines)]

    def _end_workers(self) -> None:
        processes = list(self.processes.values())
        for process in processes:
            process.terminate()
            # One that is stopped gets the signal when it goes on.
            with suppress(OSError):
                os.kill(process.pid, signal.SIGCONT)
        end = time.monotonic() + _GRACE
        for process in processes:
            process.join(max(end - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()


def _describe_death(pid: int, code: int | None) -> str:
    text = f"Process {pid} terminated abruptly with exit code {code}"
    if code == _INTERRUPTED:
        text += " (interrupted by SIGINT)"
    elif code is not None and code < 0:
        with suppress(ValueError):
            text += f" ({signal.Signals(-code).name})"
    return text


# --- starting a worker --------------------------------------------------------------


def _start_worker(
    executor: ProcessPoolExecutor,
    hub: Hub,
    processes: dict[int, Any],
    seats: dict[int, int],
) -> None:
    """Start one more worker in an empty seat; raise what its start raises."""
    number = hub.open_seat()
    before = set(processes)
    spawn: Callable[..., None] = _spawn_worker
    replaced = getattr(_standard, "_spawn_worker", None)
    if replaced is not _standard_spawn_worker:
        spawn = replaced
    try:
        spawn(
            executor._mp_context,
            _Seat(hub, number),
            None,
            executor._initializer,
            executor._initargs,
            executor._max_tasks_per_child,
            processes,
        )
    except BaseException:
        hub.close_seat(number)
        raise
    for pid in set(processes) - before:
        seats[pid] = number
    hub.ring()


# --- the executor ---------------------------------------------------------------------


def _default_workers() -> int:
    count = getattr(os, "process_cpu_count", os.cpu_count)
    return count() or 1


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
        self._shutdown_lock = threading.Lock()
        # Held while workers are started; reentrant, for a signal handler may
        # submit in the middle of it.
        self._start_lock = threading.RLock()
        self._executor_manager_thread: _ExecutorManagerThread | None = None
        self._processes: dict[int, Any] | None = {}
        self._seats: dict[int, int] = {}
        self._hub = Hub(max(int(self._max_workers), 1))
        self._call_queue: _CallQueue | None = _CallQueue()
        self._result_queue = None
        self._executor_manager_thread_wakeup: Any = _ThreadWakeup(self._hub)

    @property
    def _pending_work_items(self) -> dict[int, Any]:
        """The calls that are not done, as the standard module has them."""
        hub = self._hub
        if hub is None:
            return {}
        futures = hub.pending(True)
        items = (_standard._WorkItem(future, None, (), {}) for future in futures)
        return dict(enumerate(items))

    # --- called by the native half ---

    def _begin_afresh(self) -> None:
        """Leave workers and futures behind, in a forked child."""
        with _afresh_lock:
            if self._hub is not None and self._hub.inherited:
                self._set_up()

    def _adjust_process_count(self, calls: int = 1) -> bool:
        """Start a worker if *calls* more calls need it; say whether it did."""
        hub = self._hub
        processes = self._processes
        if hub is None or processes is None or self._force_shutting_down:
            return False
        with self._start_lock:
            if len(processes) >= self._max_workers or not hub.wants_worker(calls):
                return False
            _start_worker(self, hub, processes, self._seats)
            return True

    def _launch_processes(self) -> None:
        """Start all workers."""
        hub = self._hub
        processes = self._processes
        if hub is None or processes is None:
            return
        while len(processes) < min(self._max_workers, hub.seats):
            _start_worker(self, hub, processes, self._seats)

    def _start_executor_manager_thread(self) -> None:
        """Start the pool's thread, and before it the workers that are forked."""
        with self._start_lock:
            if self._executor_manager_thread is not None or self._hub is None:
                return
            if not self._safe_to_dynamically_spawn_children:
                try:
                    self._launch_processes()
                except BaseException:
                    # With those there are the pool works.
                    if not self._processes:
                        raise
            thread = _ExecutorManagerThread(self)
            thread.start()
            self._executor_manager_thread = thread
            _threads_wakeups[thread] = self._executor_manager_thread_wakeup
            self._started = True

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
            chunksize: so many inputs travel, and fail, together.
            buffersize: only so many chunks are drawn ahead of the results that
                were handed out; None draws all inputs before map() returns.

        Raises:
            TimeoutError: when the next result is not there in time.
            Exception: what a call raised, when its result is asked for.
            ValueError: *chunksize* or *buffersize* is not positive.
            TypeError: *buffersize* is no int.

        Since 0.1; *buffersize* on every version.

        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None:
            if not isinstance(buffersize, int):
                raise TypeError("buffersize must be an integer or None")
            if buffersize < 1:
                raise ValueError("buffersize must be None or > 0")
        if chunksize == 1:
            if (
                buffersize is None
                and self._max_tasks_per_child is None
                and self._submits_natively()
            ):
                results = self._map_batches(fn, iterables, timeout)
                if results is not None:
                    return results
            return self._map(fn, zip(*iterables), timeout, buffersize)
        chunks = ((chunk,) for chunk in _batched(zip(*iterables), chunksize))
        results = self._map(partial(_process_chunk, fn), chunks, timeout, buffersize)
        return _chain_from_iterable_of_lists(results)

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
            if thread is not None and wait:
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
