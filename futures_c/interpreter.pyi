import sys

if sys.version_info >= (3, 12):
    from collections.abc import Callable
    from typing import Any, TypeVarTuple, overload

    from futures_c import _native
    from futures_c.thread import BrokenThreadPool, ThreadPoolExecutor

    _Ts = TypeVarTuple("_Ts")

    if sys.version_info >= (3, 14):
        from concurrent.futures import interpreter as _standard
        from concurrent.futures.interpreter import (
            BrokenInterpreterPool as BrokenInterpreterPool,
            do_call as do_call,
        )

        _Context = _standard.WorkerContext
        _Pool = _standard.InterpreterPoolExecutor
    else:
        class BrokenInterpreterPool(BrokenThreadPool): ...
        class _Context: ...
        class _Pool: ...

    class WorkerContext(_native.Interpreter, _Context):
        interp: None
        initdata: Any
        def __init__(self, initdata: Any) -> None: ...
        @classmethod
        def prepare(
            cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
        ) -> tuple[Callable[[], WorkerContext], Callable[..., Any]]: ...
        def initialize(self) -> None: ...
        def finalize(self) -> None: ...

    class InterpreterPoolExecutor(ThreadPoolExecutor, _Pool):
        BROKEN: type[BrokenInterpreterPool]
        @classmethod
        def prepare_context(
            cls, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
        ) -> tuple[Callable[[], Any], Callable[..., Any]]: ...
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

    def __dir__() -> list[str]: ...
