"""What people import from ``concurrent.futures.interpreter`` (Python 3.14+).

`InterpreterPoolExecutor` is our thread pool over the standard module's worker
contexts, one sub-interpreter for each worker; every other name is the standard
object of the running version.
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from concurrent.futures import interpreter as _standard
    from concurrent.futures.interpreter import BrokenInterpreterPool, WorkerContext
except ImportError as error:
    message = (
        "futures_c.interpreter needs concurrent.futures.interpreter, "
        "which came with Python 3.14"
    )
    raise ImportError(message, name=__name__) from error

from futures_c._forward import forward
from futures_c.thread import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    # typing takes as long to import as all of the package; annotations resolve.
    Any = object
del TYPE_CHECKING


class InterpreterPoolExecutor(  # type: ignore[misc, override]
    ThreadPoolExecutor, _standard.InterpreterPoolExecutor
):
    """A pool of threads, each of which runs its calls in its own interpreter.

    Functions, arguments and results travel between the interpreters: they are
    shared or pickled.
    """

    BROKEN = BrokenInterpreterPool

    # Ours comes first among the bases and would prepare plain thread contexts.
    @classmethod
    def prepare_context(
        cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> tuple[Callable[[], WorkerContext], Callable[..., Any]]:
        """Return what makes a worker's context, and what makes a task for it."""
        return WorkerContext.prepare(initializer, initargs)  # type: ignore[arg-type]

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        """Make a pool; no interpreter is started before the first call.

        Args:
            max_workers: the most interpreters, and threads, there may be; by
                default four more than the process may use CPUs, at most 32.
            thread_name_prefix: what the threads' names begin with.
            initializer: called in each interpreter before its first call.
            initargs: the arguments that it is called with.

        """
        if not thread_name_prefix:
            thread_name_prefix = f"InterpreterPoolExecutor-{self._counter()}"
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)


__getattr__, __dir__ = forward(globals(), _standard)
