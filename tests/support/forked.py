"""Call a function in a forked child, under a time cap.

The known faults of the standard module hang, leak or leave threads that never
end.  In a forked child they do so without harming the tests that follow.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable


class ForkedFailure(AssertionError):
    """The call in the child raised, hung or ended its process."""


def _child(call: Callable[[], object], out: int) -> None:
    """Run *call* and write its traceback, if any, to *out*; never return."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    text = ""
    try:
        call()
    except BaseException as exc:
        text = "".join(traceback.format_exception_only(exc)).strip() or "raised"
    os.write(out, (text or "ok").encode()[:60000])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if text else 0)


def call_in_child(call: Callable[[], object], cap: float) -> None:
    """Run *call* in a forked child; raise ForkedFailure unless it returns."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        # A test runner's own helper threads are no concern of the child.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(readable)
        _child(call, writable)
    os.close(writable)
    deadline = time.monotonic() + cap
    text = b""
    try:
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([readable], [], [], left)[0]:
                raise ForkedFailure(f"hangs (no end within {cap:g} s)")
            chunk = os.read(readable, 65536)
            text += chunk
            if not chunk or text:
                break
    finally:
        os.close(readable)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if text != b"ok":
        raise ForkedFailure(text.decode() or f"process ended, status {status}")
