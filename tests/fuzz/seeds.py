"""What the fuzzer begins with.

For each target some inputs in which all is well, and a few with one wrong word.

    python3 tests/fuzz/seeds.py DIRECTORY

writes them, a folder per target.  The numbers are those of the targets' do_next().
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

MAGIC = 0x4373657275747566
FILE = 1 << 24  # long enough for all geometries here


def header(seats=2, slots=16, stream=4096, arena=65536, version=2):
    """The first line of a segment."""
    return struct.pack(
        "<QIIIIIIq", MAGIC, version, 0, seats, slots, stream, arena, 1234
    )


def frame(size, kind=4, tag=5, rest=0, how=0):
    """Of fuzz_stream.c: put a frame."""
    return bytes([0, how]) + struct.pack("<HBBH", size, tag, kind, rest)


SEGMENTS = {
    "good": FILE.to_bytes(6, "little") + header(),
    "short": (4096).to_bytes(6, "little") + header(),
    "large": (1 << 34).to_bytes(6, "little") + header(4096, 32768, 1 << 16),
    "odd": FILE.to_bytes(6, "little") + header(slots=17),
    "other": FILE.to_bytes(6, "little") + header(version=1),
    "cut": FILE.to_bytes(6, "little") + header()[:30],
}

START = bytes(10)
READ, RELEASE, PRODUCE = b"\6", b"\5", b"\4"
STREAMS = {
    "one": START + frame(16) + READ + RELEASE,
    "many": START + b"".join(frame(n) + READ for n in (0, 1, 8, 100, 999)),
    "parts": START + frame(40, rest=60) + READ + frame(60) + READ + RELEASE,
    "around": START + (frame(900) + READ + RELEASE) * 4 + frame(900) + READ,
    "skip": START
    + (frame(900) + READ + RELEASE) * 4
    + frame(400, how=1)
    + frame(9)
    + READ,
    "produce": START + b"".join(PRODUCE + bytes([n, 1, 0]) for n in range(9)),
    "again": START + b"\3\1\0\10\377" + frame(16) + READ + RELEASE,
}

SEND, TAKE = b"\0\x20\2\1", b"\x09\1"
CANCEL, FINISH = b"\2\0", b"\2\1\0"
LOOK, DECIDE, FIND = b"\5\1\0\0\0\0\0\0", b"\6", b"\x08\0\0"
REQUESTS = {
    "send": SEND + DECIDE + TAKE + FINISH,
    "cancel": SEND + CANCEL + SEND + TAKE + DECIDE,
    "full": (SEND * 9 + TAKE * 9 + FINISH + SEND) * 2,
    "look": SEND + TAKE + LOOK + FIND + LOOK,
    "batch": b"\7\1\0\0",
    "batches": b"\7\3\0\0\x48\0\1" + b"\7\1\0\0" + FIND,
    "again": SEND + b"\4\1\0\377" + TAKE + LOOK,
    "batch-again": b"\7\x41\0\0\1\0\377",
}

ASK, BATCH, BLOCK, BACK, HEAR, WORK, ANSWER, JOIN, TALK, NEXT = range(10)
CODES = (0, 1, 2, 3, 4, 6, 8, 9, 10, 11)


def op(name, *arguments, seat=0):
    return bytes([CODES[name] + 16 * seat, *arguments])


def round_trip(size, how=0, reply=10):
    return op(ASK, how, size) + op(WORK) + op(ANSWER, reply) + op(HEAR)


def talk(how, offset, size, length=0, short=None):
    return op(
        TALK,
        how,
        *([] if short is None else [short]),
        offset,
        size,
        *length.to_bytes(3, "little"),
    )


SLOT = 3  # enum fuzz_part


def scribble(part, at, value):
    """Of fuzz_ends.c: 8 bytes."""
    return bytes([14, part + 7 * 3]) + struct.pack("<HQ", at, value)


ENDS = {
    "short": round_trip(10),
    "functions": b"".join(round_trip(10, n << 1) for n in range(4)),
    "arena": round_trip(200) + round_trip(220, reply=229),
    "blocks": round_trip(240) * 2 + round_trip(10, reply=250) * 3,
    "on-demand": round_trip(240, how=1) + round_trip(10),
    "long-reply": round_trip(10, reply=229) * 3,
    "batch": op(BATCH, 3) + op(WORK) + op(HEAR),
    "joined": op(BATCH, 3) * 2 + op(WORK) + op(JOIN, seat=1) + op(HEAR, seat=1),
    "batch-back": op(BATCH, 3) + op(BACK, 0) + op(WORK) + op(HEAR),
    "filled": op(BLOCK, 0) + op(BLOCK, 1) + op(WORK) + op(ANSWER, 10) + op(HEAR),
    "dropped": op(BLOCK, 1) + op(BLOCK, 0) + round_trip(10),
    "dies": op(ASK, 0, 10) + op(WORK) + op(NEXT) + round_trip(10),
    "two": op(ASK, 0, 10) * 3
    + op(WORK)
    + op(WORK, seat=1)
    + op(ANSWER, 9)
    + op(ANSWER, 9, seat=1)
    + op(HEAR)
    + op(HEAR, seat=1),
    "gifts": round_trip(240, reply=250) * 2 + round_trip(10) * 4,
    "talks": op(ASK, 0, 10) + op(WORK) + talk(0, 0, 0, short=9) + op(HEAR),
    "gives": op(BLOCK, 0) + op(BLOCK, 1) + op(WORK) + talk(1 | 2 << 2, 0, 2) + op(HEAR),
    "gives-pinned": op(BLOCK, 1)
    + talk(1 | 2 << 2, 0, 7)
    + op(HEAR)
    + op(BLOCK, 1)
    + round_trip(240) * 2,
    "gives-too-long": op(BLOCK, 0)
    + op(ASK, 0, 10)
    + op(WORK)
    + talk(1 | 1 << 2, 0, 2, 131073)
    + op(HEAR),
    # The length of what is in a block, in the slot.
    "too-long": op(ASK, 0, 240) + scribble(SLOT, 32, 1 << 20) + op(WORK),
    "again": b"\x0d\1\0\377" + round_trip(10) + op(BATCH, 3) + op(WORK),
    "decides": op(ASK, 0, 10) + b"\x0c" + op(WORK) + b"\x0c",
}


def main():
    (to,) = map(Path, sys.argv[1:])
    for target, seeds in {
        "segment": SEGMENTS,
        "stream": STREAMS,
        "requests": REQUESTS,
        "ends": ENDS,
    }.items():
        (to / target).mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (to / target / f"seed-{name}").write_bytes(seed)


if __name__ == "__main__":
    main()
