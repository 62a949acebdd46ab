from concurrent.futures._base import (
    _STATE_TO_DESCRIPTION_MAP as _STATE_TO_DESCRIPTION_MAP,
    ALL_COMPLETED as ALL_COMPLETED,
    CANCELLED as CANCELLED,
    CANCELLED_AND_NOTIFIED as CANCELLED_AND_NOTIFIED,
    FINISHED as FINISHED,
    FIRST_COMPLETED as FIRST_COMPLETED,
    FIRST_EXCEPTION as FIRST_EXCEPTION,
    LOGGER as LOGGER,
    PENDING as PENDING,
    RUNNING as RUNNING,
    BrokenExecutor as BrokenExecutor,
    CancelledError as CancelledError,
    DoneAndNotDoneFutures as DoneAndNotDoneFutures,
    Error as Error,
    Executor as Executor,
    InvalidStateError as InvalidStateError,
    TimeoutError as TimeoutError,
    _AcquireFutures as _AcquireFutures,
    _AllCompletedWaiter as _AllCompletedWaiter,
    _AsCompletedWaiter as _AsCompletedWaiter,
    _FirstCompletedWaiter as _FirstCompletedWaiter,
    _Waiter as _Waiter,
)

from futures_c._native import (
    Future as Future,
    as_completed as as_completed,
    wait as wait,
)

def __dir__() -> list[str]: ...
