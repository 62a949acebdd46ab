import concurrent.futures.thread as _standard
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from concurrent.futures.thread import (
    BrokenThreadPool as BrokenThreadPool,
    _global_shutdown_lock as _global_shutdown_lock,
    _worker as _worker,
    _WorkItem as _WorkItem,
)
from threading import Thread
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, overload

from futures_c._native import Future

if sys.version_info >= (3, 14):
    from concurrent.futures.thread import WorkerContext as WorkerContext

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_threads_queues: MutableMapping[Thread, Any]
_shutdown: bool

def _python_exit() -> None: ...
def __dir__() -> list[str]: ...

class ThreadPoolExecutor(_standard.ThreadPoolExecutor):
    BROKEN: type[BrokenThreadPool]
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[[], object] | None = None,
        initargs: tuple[()] = (),
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        *,
        initializer: Callable[[*_Ts], object],
        initargs: tuple[*_Ts],
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None,
        thread_name_prefix: str,
        initializer: Callable[[*_Ts], object],
        initargs: tuple[*_Ts],
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
