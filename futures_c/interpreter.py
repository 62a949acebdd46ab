"""What people import from ``concurrent.futures.interpreter``, from Python 3.12 on.

The standard module has it since 3.14.  The pool is our thread pool; each of its
workers has an interpreter of its own, with a GIL of its own, and the way of a call
into it and back is native (``src/python/interpreter.c``).
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable

if sys.version_info < (3, 12):
    message = (
        "futures_c.interpreter needs Python 3.12 or newer: "
        "older interpreters share one GIL"
    )
    raise ImportError(message, name=__name__)

from futures_c import _native, thread as _thread
from futures_c._crossing import ExecutionFailed, NotShareableError
from futures_c._forward import forward
from futures_c.thread import BrokenThreadPool, ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    # typing takes as long to import as all of the package; annotations resolve.
    Any = object
del TYPE_CHECKING

if sys.version_info >= (3, 14):
    from concurrent.futures import interpreter as _standard
    from concurrent.futures.interpreter import (
        BrokenInterpreterPool,
        InterpreterPoolExecutor as _Pool,
        WorkerContext as _Context,
    )
else:
    # What is not there yet: names are left to the thread pool's module.
    _standard = _thread

    class BrokenInterpreterPool(BrokenThreadPool):
        """Raised when a worker of an InterpreterPoolExecutor could not begin."""

    class _Context:
        """What the standard context is a base class of ours for."""

    class _Pool:
        """Likewise, the standard pool."""


# The directory that the package is in, for interpreters that do not find it.
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# Has an interpreter call install_later().  By text: a function is found by its name
# only where the package is, as everything else of it that is needed there.
_SWITCH = """
import sys
try:
    from futures_c import _startup
except ModuleNotFoundError:
    sys.path.append(home)
    from futures_c import _startup
_startup.install_later()
"""


# Those that may have an interpreter.
_contexts: weakref.WeakSet[WorkerContext] = weakref.WeakSet()


@atexit.register
def _end_contexts() -> None:
    """End what is left when all threads have ended: until 3.12 it is fatal.

    Workers have ended theirs; these are contexts that somebody has made for himself.
    """
    for context in _all_contexts():
        try:
            context.finalize()
        except RuntimeError:
            pass  # A daemon thread's call runs in it.


def _all_contexts() -> list[WorkerContext]:
    while True:
        try:
            return list(_contexts)
        except RuntimeError:
            pass  # a daemon thread made one meanwhile: look again


class WorkerContext(_native.Interpreter, _Context):
    """A worker's interpreter: what its thread does before, with and after its calls.

    As the standard one of 3.14.  Everything but `prepare` belongs to the worker's
    thread.
    """

    # Where the standard one has its interpreter, which its __del__() ends.
    interp = None

    @classmethod
    def prepare(
        cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> tuple[Callable[[], WorkerContext], Callable[..., Any]]:
        """Return what makes a worker's context, and what makes a task for it.

        Raises:
            TypeError: *initializer* is a str; scripts are not supported.

        """
        if initializer is None:
            initdata = None
        else:
            initdata = _make_task(initializer, tuple(initargs), {})

        def create_context() -> WorkerContext:
            return cls(initdata)

        return create_context, _make_task

    def __init__(self, initdata: Any) -> None:
        self.initdata = initdata

    def initialize(self) -> None:
        """Make the interpreter, and call the initializer in it."""
        _contexts.add(self)
        self._enter(_HOME)
        try:
            if _is_installed():
                # As workers that are processes are switched like their parent.
                self.run((exec, (_SWITCH, {"home": _HOME}), {}))
            if self.initdata is not None:
                self.run(self.initdata)
        except BaseException:
            self.finalize()
            raise

    def finalize(self) -> None:
        """End the interpreter."""
        self._leave()


def _is_installed() -> bool:
    install = sys.modules.get("futures_c._install")
    return install is not None and install._state.installed


def _make_task(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if isinstance(fn, str):
        raise TypeError("scripts not supported")
    return fn, args, kwargs


class InterpreterPoolExecutor(ThreadPoolExecutor, _Pool):  # type: ignore[misc, override]
    """Run calls in at most *max_workers* interpreters, in parallel within one process.

    Each worker is a thread with an interpreter of its own, which has its own GIL
    and shares no object with others.  Functions, arguments and results
    travel: None, bool, int, float, str, bytes and tuples of them as they are, a
    memoryview (from 3.13 on, as a result from 3.14 on) without a copy, everything else
    by pickle; functions by their name, or, if they need nothing but their arguments
    and builtins, as code.  What a call raises is raised with an ``ExecutionFailed`` as
    its cause, which has the traceback there.

    Args:
        max_workers: the most interpreters, and threads, there may be; by
            default four more than the process may use CPUs, at most 32.
        thread_name_prefix: what the threads' names begin with.
        initializer: called in each interpreter before its first call.
        initargs: the arguments that it is called with.

    Raises:
        ValueError: *max_workers* is not positive.
        TypeError: *initializer* is a str; scripts are not supported.

    A future ends with ``NotShareableError`` if its function, an argument or the
    result cannot travel.  Extension modules that do not support several interpreters
    cannot be imported by calls.  From Python 3.12 on, the standard one from 3.14 on;
    it behaves as that one does.  Since 0.1.

    """

    BROKEN = BrokenInterpreterPool

    # Ours comes first among the bases and would prepare plain thread contexts.
    @classmethod
    def prepare_context(
        cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> tuple[Callable[[], Any], Callable[..., Any]]:
        """Return what makes a worker's context, and what makes a task for it.

        *initializer* and *initargs* are the pool's.  For subclasses that have
        contexts of their own.  Since 0.1.
        """
        return WorkerContext.prepare(initializer, initargs)

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if not thread_name_prefix:
            thread_name_prefix = f"InterpreterPoolExecutor-{self._counter()}"
        if sys.version_info >= (3, 14):
            super().__init__(max_workers, thread_name_prefix, initializer, initargs)
            return
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        create, resolve = self.prepare_context(initializer, initargs)
        super().__init__(max_workers, thread_name_prefix)
        self._create_worker_context = create
        self._resolve_work_item_task = resolve
        self._in_context = True


__getattr__, __dir__ = forward(globals(), _standard)
