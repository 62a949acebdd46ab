"""What awaiting a future of ours needs of asyncio; loaded when somebody does."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, InvalidStateError
from contextlib import suppress

from futures_c._native import _bell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from futures_c._native import Future


def convert(error: BaseException, _: object = None) -> BaseException:
    """Return the exception of asyncio for one of ``concurrent.futures``.

    As asyncio does for futures that it wraps: for these very classes, and not
    for what is derived from them.  StopIteration would be taken for a result, or
    refused; it becomes what it does with asyncio since 3.12.
    """
    if isinstance(error, StopIteration):
        other = RuntimeError(
            "StopIteration interacts badly with generators and cannot be raised "
            "into a Future"
        )
        other.__cause__ = other.__context__ = error
        return other
    if type(error) is CancelledError:
        return asyncio.CancelledError(*error.args)
    if type(error) is InvalidStateError:
        return asyncio.InvalidStateError(*error.args)
    return error


def copy_state(destination: asyncio.Future[Any], source: Future[Any]) -> None:
    """End an asyncio future, which is pending, as *source* has ended."""
    if source.cancelled():
        destination.cancel()
        return
    error = source.exception()
    if error is None:
        destination.set_result(source.result())
    else:
        destination.set_exception(convert(error))


async def iterate(completed: Any, _: object = None) -> AsyncIterator[Future[Any]]:
    """Yield the futures of an as_completed() as they end, and let the loop run."""
    came = asyncio.Event()
    bell = None
    try:
        while True:
            came.clear()
            try:
                future = completed._next_now()
            except StopIteration:
                return
            if future is not None:
                yield future
                continue
            left, seconds = completed._left()
            if bell is None:
                bell = _bell(asyncio.get_running_loop(), came.set)
                for future in left:
                    future.add_done_callback(bell)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await came.wait()
    finally:
        completed.close()
