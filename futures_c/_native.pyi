import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import (
    Any,
    Generic,
    NamedTuple,
    NoReturn,
    Protocol,
    TypeVar,
    final,
    type_check_only,
)

from typing_extensions import disjoint_base

_T = TypeVar("_T")
_F = TypeVar("_F", bound=_Awaited)

@disjoint_base
class Future(concurrent.futures.Future[_T]):
    _done_callbacks: list[Callable[[Future[_T]], object]]
    def _get_snapshot(self) -> tuple[bool, bool, _T | None, BaseException | None]: ...
    def _invoke_callbacks(self) -> None: ...
    # Futures are not pickled; object's method of this name would say otherwise.
    def __reduce_ex__(self, protocol: Any, /) -> NoReturn: ...

# What wait() and as_completed() touch of a future: native, standard, or one
# that follows the same protocol.
@type_check_only
class _Awaited(Protocol):
    _condition: threading.Condition
    _state: str
    _waiters: list[Any]

# At run time concurrent.futures' DoneAndNotDoneFutures; here it remembers the
# class of the futures, so that what wait() leaves over can be waited for again.
@type_check_only
class _DoneAndNotDone(NamedTuple, Generic[_F]):
    done: set[_F]
    not_done: set[_F]

def wait(
    fs: Iterable[_F], timeout: float | None = None, return_when: str = "ALL_COMPLETED"
) -> _DoneAndNotDone[_F]: ...
def as_completed(fs: Iterable[_F], timeout: float | None = None) -> Iterator[_F]: ...

# --- for futures_c.thread alone ---

@final
class WorkQueue:
    def qsize(self) -> int: ...
    def empty(self) -> bool: ...
    def put(
        self, item: Any, block: bool = True, timeout: float | None = None
    ) -> None: ...
    def put_nowait(self, item: Any) -> None: ...
    def get(self, block: bool = True, timeout: float | None = None) -> Any: ...
    def get_nowait(self) -> Any: ...
    def _starting(self) -> int: ...
    def _close(self) -> None: ...

def _make_pool_type(
    base: type[concurrent.futures.ThreadPoolExecutor], /
) -> type[concurrent.futures.ThreadPoolExecutor]: ...
def _set_exiting() -> None: ...
def _forked() -> None: ...
