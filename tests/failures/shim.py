"""Control of failing.c: what fails, when, and for whom.

It has to be preloaded: `environment` says how.  Without it nothing can be planned.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("failing*.c"))

#: In the order of `enum kind`, with the errors that each may give.
KINDS: Mapping[str, tuple[int, ...]] = {
    "nothing": (),
    "allocation": (errno.ENOMEM,),
    # That it returns without having been woken, and for a reason that it knows not.
    "futex_sleep": (errno.EAGAIN, errno.EINTR, errno.ENOMEM),
    "futex_wake": (errno.EFAULT,),
    "pidfd_open": (errno.ENOSYS, errno.EMFILE, errno.ENOMEM, errno.EPERM),
    "pthread_create": (errno.EAGAIN, errno.EPERM),
    "fork": (errno.EAGAIN, errno.ENOMEM),
    "mmap": (errno.ENOMEM, errno.EAGAIN, errno.EPERM),
    "munmap": (errno.ENOMEM,),
    "memfd_create": (errno.ENOSYS, errno.EMFILE, errno.ENOMEM, errno.EPERM),
    "ftruncate": (errno.EFBIG, errno.EINTR, errno.ENOSPC),
    "fallocate": (errno.ENOSPC, errno.EINTR, errno.EOPNOTSUPP, errno.EPERM),
    "eventfd": (errno.EMFILE, errno.ENODEV, errno.ENOMEM),
    "pipe": (errno.EMFILE, errno.ENFILE),
    "socketpair": (errno.EMFILE, errno.ENOBUFS),
    "poll": (errno.EINTR, errno.ENOMEM),
    "read": (errno.EAGAIN, errno.EINTR, errno.EIO),
    "write": (errno.EAGAIN, errno.EINTR),
    "pread": (errno.EINTR, errno.EIO),
    "close": (errno.EINTR, errno.EIO),
    "fstat": (errno.ENOMEM, errno.EBADF),
    "epoll_create": (errno.EMFILE, errno.ENOMEM),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "epoll_wait": (errno.EINTR,),
}
NUMBERS = {name: number for number, name in enumerate(KINDS)}

WHO = {"me": 0, "others": 1, "everybody": 2}
SCOPE = {"ours": 0, "any": 1}

#: More than any operation makes: for counting them.
NEVER = 1 << 40


@dataclass(frozen=True)
class Plan:
    """What is to fail."""

    kind: str = "allocation"
    n: int = NEVER
    all: bool = False
    who: str = "me"
    scope: str = "ours"
    error: int = errno.ENOMEM

    def __str__(self) -> str:
        name = errno.errorcode[self.error]
        more = " and all after it" if self.all else ""
        return f"{self.kind} {self.n}{more} ({name}; {self.who}, {self.scope})"


def build(directory: Path) -> Path | None:
    """Compile the library into *directory*; None: there is no compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    library = directory / "failing.so"
    arguments = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -fPIC -shared -fexceptions"
    arguments += " -fvisibility=hidden"
    subprocess.run(
        [compiler, *arguments.split(), "-o", library, *SOURCES, "-ldl"], check=True
    )
    return library


def environment(library: Path) -> dict[str, str]:
    """The variables that a program needs for it."""
    return {**os.environ, "LD_PRELOAD": str(library), "FUTURES_C_FAILING": "1"}


# --- in the program -----------------------------------------------------------

_library = ctypes.PyDLL(None)


def _method(name: str) -> Callable[[], None]:
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    definition = ctypes.c_char.in_dll(_library, name)
    method: Callable[[], None] = make(ctypes.addressof(definition), None, None)
    return method


if "FUTURES_C_FAILING" in os.environ:
    _library.fail_hook_python()
    _library.fail_failed.restype = _library.fail_seen.restype = ctypes.c_long
    #: They allocate nothing themselves.
    arm = _method("fail_arm_method")
    disarm = _method("fail_disarm_method")
    _learn = _method("fail_learn_method")


def prepare(plan: Plan) -> None:
    """Say what is to fail once arm() has been called."""
    _library.fail_plan(
        NUMBERS[plan.kind],
        ctypes.c_long(plan.n),
        int(plan.all),
        WHO[plan.who],
        SCOPE[plan.scope],
        plan.error,
    )


def met() -> tuple[int, int]:
    """How many calls matched since prepare(), and how many of them failed."""
    return _library.fail_seen(), _library.fail_failed()


def learn() -> None:
    """Have it see what evaluates Python code, in the ways that code is called."""

    class Caller:
        def __init__(self) -> None:
            _learn()

        def method(self, *args: object, **more: object) -> None:
            _learn()

        attribute = property(method)

        def __next__(self) -> None:
            _learn()
            raise StopIteration

        def __iter__(self) -> Caller:
            return self

    # Twice cold, then as the interpreter has specialized it.
    for _ in range(100):
        caller = Caller()
        caller.method()
        caller.method(1, more=2)
        _ = caller.attribute
        list(caller)
        for _ in caller:
            pass
        with contextlib.suppress(StopIteration):
            next(caller)
        list(map(caller.method, [1]))
        [_learn() for _ in range(3)]
        set(_learn() for _ in range(3))  # noqa: C401 - a generator's frame


def tells_apart() -> bool:
    """Whether it can tell our extension's allocations from Python code's."""
    from futures_c import Future

    learn()

    def callback(future: object) -> None:
        [object() for _ in range(10)]

    future = Future()
    future.add_done_callback(callback)
    prepare(Plan())
    arm()
    future.set_result(None)
    disarm()
    of_python, _ = met()
    prepare(Plan())
    arm()
    kept = [Future() for _ in range(3)]
    disarm()
    return len(kept) == 3 and 0 < met()[0] and of_python < 3
