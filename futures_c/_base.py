"""What people import from ``concurrent.futures._base``.

`Future`, `wait` and `as_completed` are native; everything else, private names
included, is the standard object of the running version.
"""

from concurrent.futures import _base as _standard
from concurrent.futures._base import (
    ALL_COMPLETED,
    CANCELLED,
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    LOGGER,
    PENDING,
    RUNNING,
    BrokenExecutor,
    CancelledError,
    DoneAndNotDoneFutures,
    Error,
    Executor,
    InvalidStateError,
    TimeoutError,
)

from futures_c._forward import forward
from futures_c._native import Future, as_completed, wait

__getattr__, __dir__ = forward(globals(), _standard)
