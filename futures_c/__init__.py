"""concurrent.futures with a C core: change one import, keep the code.

    import futures_c as concurrent_futures

Every public name of the running version's ``concurrent.futures`` is here,
together with `BrokenThreadPool`, `BrokenProcessPool` and, where there are
interpreter pools, `BrokenInterpreterPool`.  Exceptions, constants and
`Executor` are the standard objects; `Future` and the executors are subclasses
of the standard ones.

The executors, and the modules `thread`, `process` and `interpreter`, are
loaded when they are first asked for.
"""

import concurrent.futures as _standard
import sys as _sys

from futures_c._base import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    TimeoutError,
    as_completed,
    wait,
)

__version__ = "0.1.0"

_LAZY = {
    "BrokenThreadPool": "thread",
    "ThreadPoolExecutor": "thread",
    "BrokenProcessPool": "process",
    "ProcessPoolExecutor": "process",
}
_MODULES = {"process", "thread"}
if "InterpreterPoolExecutor" in _standard.__all__:
    _LAZY["BrokenInterpreterPool"] = "interpreter"
    _LAZY["InterpreterPoolExecutor"] = "interpreter"
    _MODULES.add("interpreter")

# A tuple or a list, as the standard module has it on this version.
__all__ = type(_standard.__all__)(
    dict.fromkeys([*_standard.__all__, "InvalidStateError", *_LAZY])
)


def __getattr__(name: str) -> object:
    """Load an executor, or a module, on first use."""
    if name not in _LAZY and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not `from futures_c import thread`: that statement asks this function.
    # Not importlib, which may itself have to be loaded: a child forked while
    # another thread does that would wait for ever for its import.
    path = f"{__name__}.{_LAZY.get(name, name)}"
    __import__(path)
    module = _sys.modules[path]
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*__all__, *_MODULES, "__doc__", "__version__"})
