"""No byte of shared memory is read twice by a call of the extension.

Run with an extension that is instrumented like main.c (see Makefile), by its
folder.  Each call that a worker answers begins by asking what was read since the
one before began: the request, its arguments, and the reply of the other one.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Iterator

sys.path.insert(0, sys.argv[1])

import futures_c
from futures_c import _native

hooks = ctypes.PyDLL(_native.__file__)
hooks.hooks_watch.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
hooks.hooks_begin.argtypes = [ctypes.c_char_p]
twice = ctypes.c_uint.in_dll(hooks, "hooks_twice")

# 0 has each place written to standard error, those that are known as well.
ctypes.c_int.in_dll(hooks, "hooks_quiet").value = 1

# From here on blocks are, which have mappings of their own.
WINDOW = 1 << 44


def mappings() -> Iterator[tuple[int, int]]:
    """Where the pool's memory is mapped, and how many bytes: without blocks."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            # address, access, offset, device, inode, path
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith("/memfd:futures_c"):
                begin, end = (int(number, 16) for number in fields[0].split("-"))
                if int(fields[2], 16) < WINDOW:
                    yield begin, end - begin


def watch() -> None:
    """In a worker, before its first call; and in the parent."""
    for base, size in mappings():
        hooks.hooks_watch(base, size)
    hooks.hooks_begin(b"the first call")


def probe(*args: object, **more: object) -> int:
    """How many reads there were since the last call began, or minus the bad ones."""
    reads = hooks.hooks_end()
    bad = twice.value
    twice.value = 0
    hooks.hooks_begin(b"what came before the next call")
    return -bad if bad else reads


def probe_and_give(value: object) -> tuple[int, object]:
    """The same, with something to send back."""
    return probe(), value


class Oneself:
    """Something that is pickled."""

    def __init__(self, value: object) -> None:
        self.value = value


#: Where a batch is: read and checked by who takes it, and again, to see whether
#: anything is left, after others were let join (is_used_up() in src/ipc/batches.c).
PLACE = 8

VALUES = [
    None, True, 5, -(1 << 40), 1 << 80, 1.5,
    "text", "\xfc", "\u20ac" * 50, "\U0001f600", b"", b"bytes" * 30_000,
    (), (1, ("a", (2.5, None))), [1, 2], {"a": {"b": 3}}, list(range(30_000)),
    bytearray(200_000), Oneself([bytearray(1 << 20), "x"]),
]  # fmt: skip


def run(pool: futures_c.ProcessPoolExecutor) -> int:
    """All kinds of requests and replies; how many reads of workers were counted."""
    total = calls = 0

    def note(reads: int, what: object, known: int = 0) -> None:
        nonlocal total, calls
        assert reads >= 0 or -reads == known, f"{-reads} bytes read twice: {what}"
        total += abs(reads)
        calls += 1

    pool.submit(probe).result()
    watch()
    for value in VALUES:
        future = pool.submit(probe_and_give, value)
        reads, back = future.result()
        note(reads, value)
        assert type(back) is type(value)
        note(pool.submit(probe, value, key=value).result(), value)
    hooks.hooks_end()
    for count in (0, 1, 2, 8, 9, 20, 255):
        # Batches, whose items are read where they are.
        inputs = [range(300)] * count or [[]]
        for reads in pool.map(probe, *inputs):
            note(reads, f"an item of {count}", PLACE)
        inputs = [["one", "\u20ac"] * 20] * max(count, 1)
        for reads in pool.map(probe, *inputs):
            note(reads, f"an item of {count} texts", PLACE)
    # What the parent has read of replies in frames.
    note(-twice.value if twice.value else 1, "the parent")
    assert calls > 2000, calls
    return total


def main() -> None:
    """Check it, and say so."""
    assert os.path.samefile(os.path.dirname(futures_c.__path__[0]), sys.argv[1])
    context = multiprocessing.get_context("fork")
    with futures_c.ProcessPoolExecutor(1, context, initializer=watch) as pool:
        total = run(pool)
    assert total > 2000, total
    print(f"proved: no call of the extension reads a byte twice ({total} reads)")


if __name__ == "__main__":
    main()
