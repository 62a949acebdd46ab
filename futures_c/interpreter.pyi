import sys

if sys.version_info >= (3, 14):
    from collections.abc import Callable
    from concurrent.futures import interpreter as _standard
    from concurrent.futures.interpreter import (
        BrokenInterpreterPool as BrokenInterpreterPool,
        WorkerContext as WorkerContext,
        do_call as do_call,
    )
    from typing import TypeVarTuple, overload

    from futures_c.thread import ThreadPoolExecutor

    _Ts = TypeVarTuple("_Ts")

    class InterpreterPoolExecutor(
        ThreadPoolExecutor, _standard.InterpreterPoolExecutor
    ):
        BROKEN: type[BrokenInterpreterPool]
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
