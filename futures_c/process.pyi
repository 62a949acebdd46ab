import concurrent.futures.process as _standard
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from concurrent.futures.process import (
    _MAX_WINDOWS_WORKERS as _MAX_WINDOWS_WORKERS,
    EXTRA_QUEUED_CALLS as EXTRA_QUEUED_CALLS,
    BrokenProcessPool as BrokenProcessPool,
    _CallItem as _CallItem,
    _chain_from_iterable_of_lists as _chain_from_iterable_of_lists,
    _check_system_limits as _check_system_limits,
    _ExceptionWithTraceback as _ExceptionWithTraceback,
    _process_chunk as _process_chunk,
    _process_worker as _process_worker,
    _rebuild_exc as _rebuild_exc,
    _RemoteTraceback as _RemoteTraceback,
    _ResultItem as _ResultItem,
    _SafeQueue as _SafeQueue,
    _sendback_result as _sendback_result,
    _WorkItem as _WorkItem,
)
from multiprocessing.context import BaseContext
from threading import Thread
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, overload

from futures_c._native import Future

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_TERMINATE: str
_KILL: str
_threads_wakeups: MutableMapping[Thread, Any]

def _python_exit() -> None: ...
def __dir__() -> list[str]: ...

class ProcessPoolExecutor(_standard.ProcessPoolExecutor):
    _executor_manager_thread: Any
    _mp_context: BaseContext
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[[], object] | None = None,
        initargs: tuple[()] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        *,
        initializer: Callable[[*_Ts], object],
        initargs: tuple[*_Ts],
        max_tasks_per_child: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None,
        mp_context: BaseContext | None,
        initializer: Callable[[*_Ts], object],
        initargs: tuple[*_Ts],
        *,
        max_tasks_per_child: int | None = None,
    ) -> None: ...
    def submit(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]: ...
    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]: ...
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...
    def terminate_workers(self) -> None: ...
    def kill_workers(self) -> None: ...
