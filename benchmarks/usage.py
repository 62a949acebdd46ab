"""What a tree of processes uses while nothing is asked of it, from /proc.

Linux only: the CPU time in nanoseconds is in schedstat, while the clock ticks
of stat would hide whatever an idle pool does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .meter import Skip


@dataclass(frozen=True)
class Usage:
    """CPU time, and how often a thread went to sleep on its own accord.

    Each such sleep ended, or will end, with a wake-up.
    """

    nanoseconds: int = 0
    sleeps: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.nanoseconds + other.nanoseconds, self.sleeps + other.sleeps)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.nanoseconds - other.nanoseconds, self.sleeps - other.sleeps)


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, whoever started them in between."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8")
            except OSError:
                continue  # It has just ended.
            # The name is in brackets and may hold anything; the parent follows it.
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry))
    found = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _thread_usage(path: Path) -> Usage:
    nanoseconds = int((path / "schedstat").read_text(encoding="ascii").split()[0])
    for line in (path / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return Usage(nanoseconds, int(line.split()[1]))
    raise OSError(f"{path} has no context switches")


def threads_of_pool() -> dict[Path, Usage]:
    """Return the use of each thread here and below, but for the main thread.

    That is the one which measures.
    """
    me = os.getpid()
    if not Path("/proc/self/schedstat").exists():
        raise Skip("needs /proc with schedstat")
    found = {}
    for pid in (me, *descendants(me)):
        try:
            for path in Path(f"/proc/{pid}/task").iterdir():
                if path.name != str(me):
                    found[path] = _thread_usage(path)
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has just ended.
    return found


def used_between(
    before: dict[Path, Usage], after: dict[Path, Usage]
) -> dict[Path, Usage]:
    """Return what each thread has used since; those that ended meanwhile are lost."""
    return {path: usage - before.get(path, Usage()) for path, usage in after.items()}
