"""A worker process of a pool: what surrounds its loop.

It imports as little as it can, since each worker that is not forked has to:
nothing of ``concurrent.futures``, unless a call needs it.
"""

from __future__ import annotations

# Not `signal`: its way through enumerations is a tenth of a forked worker's start.
import _signal  # type: ignore[import-not-found]
import os
import sys
import threading

from futures_c._native import WorkerEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from futures_c._native import Hub

# What a shell says of a process that SIGINT has ended.
INTERRUPTED = 128 + _signal.SIGINT


class Seat:
    """A worker's place in a pool; travels to its process as an argument."""

    def __init__(self, hub: Hub, number: int, start: int) -> None:
        self._hub = hub
        self.number = number
        self._start = start

    def __reduce__(self) -> tuple[Any, ...]:
        # As the process starts: multiprocessing hands the descriptors over.
        from multiprocessing.reduction import DupFd

        return _TravelledSeat, (
            DupFd(self._hub.fd),
            self.number,
            self._start,
            DupFd(self._hub.ring_fd),
        )

    def attach(self) -> WorkerEnd:
        """Sit down: in a forked worker, which has the parent's descriptors."""
        hub = self._hub
        return WorkerEnd(os.dup(hub.fd), self.number, self._start, hub.ring_fd)


class _TravelledSeat:
    """The same in a process that was not forked from the pool's."""

    def __init__(self, fd: Any, number: int, start: int, ring: Any) -> None:
        self._fd = fd
        self._number = number
        self._start = start
        self._ring = ring

    def attach(self) -> WorkerEnd:
        """Sit down."""
        fd, ring = self._fd.detach(), self._ring.detach()
        # They came through the start of this process and are meant for no other:
        # os.system() would hand them on.
        os.set_inheritable(fd, False)
        os.set_inheritable(ring, False)
        return WorkerEnd(fd, self._number, self._start, ring)


class _Interrupts:
    """What SIGINT does to a worker: the call that runs ends, and so does it.

    Unless somebody has decided otherwise before, or does so in the initializer.
    """

    def __init__(self, end: WorkerEnd) -> None:
        self._end = end
        self.came = False
        if (
            threading.current_thread() is threading.main_thread()
            and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
        ):
            _signal.signal(_signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._end.interrupt()
        raise KeyboardInterrupt


def process_worker(
    seat: Seat | _TravelledSeat,
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
        if not end.await_admission():
            # Its start was interrupted after this process had begun.
            return
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException:
                if interrupts.came:
                    raise
                from concurrent.futures._base import LOGGER

                LOGGER.critical("Exception in initializer:", exc_info=True)
                # The pool finds that this process has ended, and breaks.
                return
        end.serve(max_tasks or 0)
    except KeyboardInterrupt:
        interrupts.came = True
    if interrupts.came:
        # Nobody has to read a traceback of each worker.
        sys.exit(INTERRUPTED)
