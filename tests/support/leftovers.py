"""What a test leaves behind: threads, processes, descriptors, shared memory."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: Seconds that threads and children get to end by themselves after a test.
SETTLE_CAP = 10.0

_PROC = Path("/proc/self")

#: Where multiprocessing keeps the numbers of its barriers; it is kept once made.
_HEAP = "/dev/shm/pym-"


def _resident() -> tuple[set[int], set[int]]:
    """Processes and descriptors that multiprocessing keeps once started.

    Its resource tracker and fork server serve the whole process and are
    started by whoever needs them first, so they are nobody's leftovers.
    """
    pids: set[int] = set()
    fds: set[int] = set()
    for module, attribute in (
        ("multiprocessing.resource_tracker", "_resource_tracker"),
        ("multiprocessing.forkserver", "_forkserver"),
    ):
        keeper = getattr(sys.modules.get(module), attribute, None)
        for name, into in (
            ("_pid", pids), ("_fd", fds),
            ("_forkserver_pid", pids), ("_forkserver_alive_fd", fds),
        ):  # fmt: skip
            value = getattr(keeper, name, None)
            if isinstance(value, int):
                into.add(value)
    return pids, fds


def _kernel_threads() -> frozenset[int]:
    """Ids of all threads of this process, as the system knows them.

    One that ends while the directory is read may hide those behind it (about
    one reading of 100,000 where threads come and go): read until two agree.
    """
    before: frozenset[int] = frozenset()
    while True:
        found = frozenset(int(task) for task in os.listdir(_PROC / "task"))
        if found == before:
            return found
        before = found


def _children() -> set[int]:
    """Process ids of the children, those that nobody reaped included.

    What the fork server has started for this process counts as well.
    """
    lists = [_PROC / "task" / str(task) / "children" for task in _kernel_threads()]
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    pid = getattr(server, "_forkserver_pid", None)
    if pid is not None:
        lists.append(Path(f"/proc/{pid}/task/{pid}/children"))
    found: set[int] = set()
    for path in lists:
        try:
            text = path.read_text()
        except OSError:
            continue  # The thread or the server ended meanwhile.
        found.update(int(pid) for pid in text.split())
    return found


def _segments() -> set[str]:
    """Mapped memory that has no name in the file system, by its numbers."""
    found: set[str] = set()
    for line in (_PROC / "maps").read_text().splitlines():
        # address, access, offset, device, inode, path
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/memfd:"):
            found.add(f"{fields[5]} {fields[4]}")
    return found


def _descriptors() -> set[tuple[int, str]]:
    """Open descriptors with what they refer to."""
    found: set[tuple[int, str]] = set()
    for name in os.listdir(_PROC / "fd"):
        try:
            found.add((int(name), os.readlink(_PROC / "fd" / name)))
        except OSError:
            continue  # The one that listed the directory.
    return found


@dataclass(frozen=True)
class Census:
    """Threads, children, descriptors and segments of this process at one moment."""

    threads: frozenset[threading.Thread]
    kernel_threads: frozenset[int]
    children: frozenset[int]
    descriptors: frozenset[tuple[int, str]]
    segments: frozenset[str] = frozenset()

    @classmethod
    def take(cls) -> Census:
        """Count now."""
        return cls(
            frozenset(threading.enumerate()),
            _kernel_threads(),
            frozenset(_children()),
            frozenset(_descriptors()),
            frozenset(_segments()),
        )

    def children_beyond(self, before: Census) -> frozenset[int]:
        """The children that were not there *before*, but nobody's in particular."""
        return self.children - before.children - _resident()[0]

    def beyond(self, before: Census) -> list[str]:
        """Describe what is here and was not there *before*."""
        _, fds = _resident()
        threads = self.threads - before.threads
        known = {t.native_id for t in threads}
        strangers = self.kernel_threads - before.kernel_threads - known
        return [
            *(f"thread {t.name!r} (daemon={t.daemon})" for t in threads),
            *(f"thread of the system, id {i}" for i in strangers),
            *(f"child process {pid}" for pid in self.children_beyond(before)),
            *(f"mapped memory {name}" for name in self.segments - before.segments),
            *(
                f"file descriptor {fd} -> {target}"
                for fd, target in self.descriptors - before.descriptors
                if fd not in fds and not target.startswith(_HEAP)
            ),
        ]


def wait_for_none(before: Census, cap: float = SETTLE_CAP) -> list[str]:
    """Wait until nothing is left beyond *before*; return what still is.

    Executors that a test dropped end their workers when they are collected,
    so the first look that finds something is followed by a collection.
    """
    left = Census.take().beyond(before)
    if not left:
        return left
    gc.collect()
    deadline = time.monotonic() + cap
    pause = 0.001
    while (left := Census.take().beyond(before)) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
    return left
