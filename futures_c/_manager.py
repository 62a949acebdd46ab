"""The thread of a process pool: callbacks, deaths, the end of the pool.

There is one per executor, from the first call on.  It sleeps as long as
somebody waits for results, who fetches them himself (``src/python/hub.h``).
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import weakref
from collections.abc import Iterable
from concurrent.futures._base import InvalidStateError
from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback
from contextlib import suppress
from multiprocessing import util
from multiprocessing.process import parent_process
from traceback import format_exception

from futures_c import _native
from futures_c._native import Hub
from futures_c._worker import INTERRUPTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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

# Seconds that submit() gets to end before the pool is marked as broken.
_SUBMITTERS = 0.2

# Milliseconds that calls may wait beside idle workers.
_STUCK = 5

# Which thread manages which pool: joined at exit.
_threads_wakeups: weakref.WeakKeyDictionary[threading.Thread, _ThreadWakeup] = (
    weakref.WeakKeyDictionary()
)

# Pools with workers and no such thread, by id(): one that is being started, or whose
# start Ctrl-C has interrupted.
_unmanaged: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


class _Exit:
    """What is known of the interpreter's exit."""

    begun = False
    seen_to = 0  # The process that _see_to_exit() was called in.


_exit = _Exit()


# --- exit ---------------------------------------------------------------------
#
# 1. The main thread ends; threading calls _python_exit() before it joins the
#    non-daemon threads.
# 2. Nobody can submit any more.
# 3. The threads that manage pools are told.  What was submitted still runs;
#    then each dismisses its workers, waits for them and ends.
# 4. These threads are joined.


def _python_exit() -> None:
    _exit.begun = True
    _native._set_exiting()
    items = list(_threads_wakeups.items())
    for _, wakeup in items:
        wakeup.wakeup()
    for executor in list(_unmanaged.values()):
        executor._dismiss_unmanaged()
    for thread, _ in items:
        thread.join()


def _see_to_exit() -> None:
    """Have a process of multiprocessing close its pools before it waits for them.

    It does so for all its children, and these wait for the pool to close.  The
    main process ends its pools before, as threading ends.  There somebody may
    run the finalizers long before the exit, as CPython's tests do.
    """
    if parent_process() is None:
        return
    if _exit.seen_to != os.getpid():
        _exit.seen_to = os.getpid()
        util.Finalize(None, _python_exit, exitpriority=100)


# Called in reverse order of registration: before the standard module's own.
threading._register_atexit(_python_exit)  # type: ignore[attr-defined]

os.register_at_fork(after_in_child=_threads_wakeups.clear)
os.register_at_fork(after_in_child=_unmanaged.clear)


# --- the pool's thread ------------------------------------------------------------


class _ThreadWakeup:
    """Wakes the thread that manages a pool.

    It is made without arguments, as the standard one, which subclasses rely on;
    who makes it says afterwards which hub it rings.
    """

    _hub: Hub | None = None

    def __init__(self) -> None:
        self._closed = False

    def wakeup(self) -> None:
        """Have it look at everything once more."""
        if self._hub is not None:
            self._hub.ring()

    def clear(self) -> None:
        """Forget the calls of wakeup() so far."""
        if self._hub is not None:
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

    def __init__(self, executor: Any, hub: Hub, processes: dict[int, Any]) -> None:
        super().__init__()
        self.hub = hub
        self.thread_wakeup = _ThreadWakeup()
        self.thread_wakeup._hub = hub
        self.shutdown_lock = executor._shutdown_lock
        self.processes = processes
        self.seats: dict[int, int] = executor._seats
        self.max_workers = executor._max_workers
        self.max_tasks_per_child = executor._max_tasks_per_child

        def collected(_: object, wakeup: _ThreadWakeup = self.thread_wakeup) -> None:
            util.debug("Executor collected: waking the thread that manages it")
            wakeup.wakeup()

        self.executor_reference: Any = weakref.ref(executor, collected)
        method = executor._mp_context.get_start_method(allow_none=False)
        self._own = method != "forkserver"
        self._bell = {hub.bell_fd}
        self._poll = select.poll()
        self._poll.register(hub.bell_fd, select.POLLIN)
        self._workers: dict[int, _Worker] = {}
        self._dismissed = False
        # Taken by whoever comes first: by run(), or by abandon().
        self._decided = threading.Lock()

    def abandon(self) -> bool:
        """Have it manage nothing, now or later.  False: it does so already.

        Where start() raises, only this tells whether there is a thread.
        """
        return self._decided.acquire(blocking=False)

    # --- its loop ---

    def run(self) -> None:
        """Manage the pool until its end."""
        if not self._decided.acquire(blocking=False):
            return
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
        events = self._poll.poll(_STUCK if self.hub.stuck else None)
        if not events:
            # Calls wait and workers are idle: the one that was woken may be
            # stopped.
            self.hub.rouse()
            return True
        ready = {fd for fd, _ in events}
        self.hub.silence()
        if ready == self._bell:
            return True
        dead = [
            (pid, worker) for pid, worker in self._workers.items() if worker.fd in ready
        ]
        if dead:
            # What they had finished is there.
            self.hub.attend()
        for pid, worker in dead:
            if not self.hub.has_left(worker.seat):
                if self._is_interrupted(worker):
                    self._let_others_end({entry.fd for _, entry in dead})
                self.terminate_broken(None)
                return False
            self._bury(pid, worker)
            with self.shutdown_lock:
                broken = self._replace_dead_worker()
            if broken is not None:
                self.terminate_broken(*broken)
                return False
        return True

    def _is_interrupted(self, worker: _Worker) -> bool:
        self._await_end(worker.process, _GRACE)
        return bool(worker.process.exitcode == INTERRUPTED)

    def _let_others_end(self, ended: set[int]) -> None:
        """Wait a while for calls that SIGINT has interrupted as well.

        A call may clean up, or catch it and return.  Workers take no more calls
        after it, and those that it has not reached are ended as of old.
        """
        end = time.monotonic() + _GRACE
        # Idle ones leave.
        self._dismissed = True
        self.hub.dismiss()
        while (left := end - time.monotonic()) > 0:
            for fd in ended:
                self._poll.unregister(fd)
            if not any(worker.process.is_alive() for worker in self._workers.values()):
                break
            self.hub.attend()
            events = self._poll.poll(left * 1000) if self.hub.listen() else []
            ended = {fd for fd, _ in events} - self._bell
            self.hub.silence()
        self.hub.attend()

    def _bury(self, pid: int, worker: _Worker) -> None:
        self._poll.unregister(worker.fd)
        worker.close()
        del self._workers[pid]
        worker.process.join()
        # The seat first: who finds room among the processes finds one.
        self.hub.close_seat(worker.seat)
        self.seats.pop(pid, None)
        self.processes.pop(pid, None)

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
            try:
                with executor._start_lock:
                    if len(self.processes) < self.max_workers:
                        executor._start_worker(self.hub, self.processes, self.seats)
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
        return _exit.begun or executor is None or executor._shutdown_thread

    def flag_executor_shutting_down(self) -> None:
        """Take no more calls; cancel those that have not begun, if asked to."""
        self.hub.close()
        executor = self.executor_reference()
        if executor is not None:
            executor._shutdown_thread = True
            if executor._cancel_pending_futures:
                executor._cancel_pending_futures = False
                # A worker that is being started, or idle, is on its way to a call,
                # which runs: with the standard module it is running already.
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
            # Who has begun to submit gets a future, as if it had come earlier;
            # unless it takes long, since its reducers may wait for us.
            end = time.monotonic() + _SUBMITTERS
            while executor._submitting and time.monotonic() < end:
                time.sleep(0.001)
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
                error.__cause__ = _remote(traceback)
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
                if self._dismissed and process.exitcode == 0:
                    # It left when it was told to.
                    continue
                lines.append(_describe_death(pid, process.exitcode))
        return ["\n".join(lines)]

    def _end_workers(self) -> None:
        # One that is being started now leaves by itself.
        self.hub.dismiss()
        processes = list(self.processes.values())
        for process in processes:
            process.terminate()
            # One that is stopped gets the signal when it goes on.
            with suppress(OSError):
                os.kill(process.pid, signal.SIGCONT)
        end = time.monotonic() + _GRACE
        for process in processes:
            self._await_end(process, max(end - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()

    def _await_end(self, process: Any, seconds: float) -> None:
        """Wait a while for the end of a worker, not for that of its children.

        These hold its sentinel, as do workers that another pool has forked at the
        same moment.
        """
        worker = self._workers.get(process.pid)
        if worker is None or worker.fd == process.sentinel:
            process.join(seconds)
            return
        poll = select.poll()
        poll.register(worker.fd, select.POLLIN)
        poll.poll(seconds * 1000)


def _remote(text: str) -> BaseException:
    # typeshed has its argument for a traceback; it is that one's text.
    return _RemoteTraceback(text)  # type: ignore[arg-type]


def _describe_death(pid: int, code: int | None) -> str:
    text = f"Process {pid} terminated abruptly with exit code {code}"
    if code == INTERRUPTED:
        text += " (interrupted by SIGINT)"
    elif code is not None and code < 0:
        with suppress(ValueError):
            text += f" ({signal.Signals(-code).name})"
    return text
