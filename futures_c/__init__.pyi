import sys

from futures_c._base import (
    ALL_COMPLETED as ALL_COMPLETED,
    FIRST_COMPLETED as FIRST_COMPLETED,
    FIRST_EXCEPTION as FIRST_EXCEPTION,
    BrokenExecutor as BrokenExecutor,
    CancelledError as CancelledError,
    Executor as Executor,
    Future as Future,
    InvalidStateError as InvalidStateError,
    TimeoutError as TimeoutError,
    as_completed as as_completed,
    wait as wait,
)
from futures_c._install import (
    install as install,
    status as status,
    uninstall as uninstall,
)
from futures_c.process import (
    BrokenProcessPool as BrokenProcessPool,
    ProcessPoolExecutor as ProcessPoolExecutor,
)
from futures_c.thread import (
    BrokenThreadPool as BrokenThreadPool,
    ThreadPoolExecutor as ThreadPoolExecutor,
)

__version__: str

if sys.version_info >= (3, 12):
    from futures_c.interpreter import (
        BrokenInterpreterPool as BrokenInterpreterPool,
        InterpreterPoolExecutor as InterpreterPoolExecutor,
    )

if sys.version_info >= (3, 14):
    __all__ = [
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
        "ALL_COMPLETED",
        "CancelledError",
        "TimeoutError",
        "InvalidStateError",
        "BrokenExecutor",
        "Future",
        "Executor",
        "wait",
        "as_completed",
        "ProcessPoolExecutor",
        "ThreadPoolExecutor",
        "InterpreterPoolExecutor",
        "BrokenThreadPool",
        "BrokenProcessPool",
        "BrokenInterpreterPool",
    ]
elif sys.version_info >= (3, 12):
    __all__ = (
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
        "ALL_COMPLETED",
        "CancelledError",
        "TimeoutError",
        "InvalidStateError",
        "BrokenExecutor",
        "Future",
        "Executor",
        "wait",
        "as_completed",
        "ProcessPoolExecutor",
        "ThreadPoolExecutor",
        "BrokenThreadPool",
        "BrokenProcessPool",
        "BrokenInterpreterPool",
        "InterpreterPoolExecutor",
    )
else:
    __all__ = (
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
        "ALL_COMPLETED",
        "CancelledError",
        "TimeoutError",
        "InvalidStateError",
        "BrokenExecutor",
        "Future",
        "Executor",
        "wait",
        "as_completed",
        "ProcessPoolExecutor",
        "ThreadPoolExecutor",
        "BrokenThreadPool",
        "BrokenProcessPool",
    )

def __dir__() -> list[str]: ...
