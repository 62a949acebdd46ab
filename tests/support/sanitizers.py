"""What tests have to know of sanitizers, under which tools/sanitized runs them."""

from __future__ import annotations

import ctypes
import os

#: Those that are built into the extension, as setup.py was told.
BUILT_IN = frozenset(filter(None, os.environ.get("FUTURES_C_SANITIZE", "").split(",")))

#: A child of fork() beside other threads: of gcc 12 and clang 14, one sanitizer
#: leaves it its allocator's locks as they were, held by threads that are not
#: there, and the other ends it when it starts a thread.
FORK = "the sanitizer does not survive a fork beside threads"


def prepare() -> None:
    """Do now what ThreadSanitizer does with its first report.

    It opens the report's file and starts a symbolizer, also for races of the
    interpreter's own, and whatever test runs then would have left them behind.
    """
    if "thread" not in BUILT_IN:
        return
    options = dict(
        option.partition("=")[::2] for option in os.environ["TSAN_OPTIONS"].split(":")
    )
    runtime = ctypes.CDLL(None)
    report = f"{options['log_path']}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    runtime.__sanitizer_set_report_fd(ctypes.c_void_p(os.open(report, flags)))
    # A return address: what is looked up is the instruction before it.
    address = ctypes.cast(runtime.Py_GetVersion, ctypes.c_void_p).value + 1
    text = ctypes.create_string_buffer(200)
    runtime.__sanitizer_symbolize_pc(
        ctypes.c_void_p(address), b"%s", text, ctypes.c_size_t(200)
    )
    assert b"getversion.c" in text.value, "suppressions need llvm-symbolizer"
