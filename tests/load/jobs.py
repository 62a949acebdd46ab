"""What the workers of the load cases call."""

from __future__ import annotations

import os
import zlib


def same(number: int) -> int:
    """Give back the number."""
    return number


def placed(number: int) -> tuple[int, int]:
    """Give back the number, and the process that it came to."""
    return number, os.getpid()


def echo(data: bytes) -> tuple[int, bytes]:
    """Give back the checksum of what came, and what came in reverse."""
    return zlib.crc32(data), data[::-1]


class Leak:
    """A call that keeps something each time: what a flat run must not hide."""

    kept: list[bytes] = []

    def __call__(self, number: int) -> int:
        """Keep 100 bytes or so."""
        self.kept.append(bytes(100 + number % 2))
        return number
