"""What a shared library says of itself: enough of ELF to see how it was built.

Read by itself, so that no tool has to be there; little-endian files of 64 bits,
which is what the supported processors have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

PT_LOAD = 1
PT_DYNAMIC = 2
PT_GNU_STACK = 0x6474E551
PT_GNU_RELRO = 0x6474E552

PF_EXECUTE = 1
PF_WRITE = 2

DT_RPATH = 15
DT_TEXTREL = 22
DT_BIND_NOW = 24
DT_RUNPATH = 29
DT_FLAGS = 30
DT_FLAGS_1 = 0x6FFFFFFB

DF_TEXTREL = 4
DF_BIND_NOW = 8
DF_1_NOW = 1

SHT_DYNSYM = 11
STT_FUNC = 2
EM_X86_64 = 62
#: The instruction to which alone an indirect jump leads.
ENDBR64 = b"\xf3\x0f\x1e\xfa"


class Library:
    """A shared library."""

    def __init__(self, path: Path) -> None:
        self.data = data = path.read_bytes()
        assert data[:6] == b"\x7fELF\x02\x01", f"{path} is of another kind"
        (self.machine,) = struct.unpack_from("<H", data, 18)
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phentsize, phnum, shentsize, shnum = struct.unpack_from("<4H", data, 54)
        #: (type, flags, offset, address, bytes in the file)
        self.segments = [
            struct.unpack_from("<IIQQ8xQ", data, phoff + i * phentsize)
            for i in range(phnum)
        ]
        #: (type, offset, size, number of the linked section)
        self.sections = [
            struct.unpack_from("<4xI16xQQI", data, shoff + i * shentsize)
            for i in range(shnum)
        ]
        self.dynamic = dict(self._dynamic())

    def _of_type(self, kind: int) -> list[tuple[int, ...]]:
        return [segment for segment in self.segments if segment[0] == kind]

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        for _, _, offset, _, size in self._of_type(PT_DYNAMIC):
            yield from struct.iter_unpack("<qQ", self.data[offset : offset + size])

    def symbols(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, type, number of the section (0: others have it) and address."""
        for kind, offset, size, link in self.sections:
            if kind != SHT_DYNSYM:
                continue
            strings = self.sections[link][1]
            table = self.data[offset : offset + size]
            entries = struct.iter_unpack("<IBxHQ8x", table)
            for name, info, section, address in entries:
                end = self.data.index(b"\0", strings + name)
                text = self.data[strings + name : end].decode()
                yield text, info & 15, section, address

    def wanted(self) -> set[str]:
        """The names of functions and objects that it takes from others."""
        return {name for name, _, section, _ in self.symbols() if not section}

    def at(self, address: int, size: int) -> bytes:
        """What stands at an address when it is loaded."""
        for _, _, offset, begin, length in self._of_type(PT_LOAD):
            if begin <= address < begin + length:
                start = offset + address - begin
                return self.data[start : start + size]
        raise ValueError(f"nothing at {address:#x}")

    def offered(self) -> list[bytes]:
        """How the functions begin that it has for others."""
        return [
            self.at(address, 4)
            for _, kind, section, address in self.symbols()
            if section and kind == STT_FUNC
        ]

    def weaknesses(self) -> list[str]:
        """What a release is to have, and this one has not."""
        found = []
        flags = self.dynamic.get(DT_FLAGS, 0)
        now = DT_BIND_NOW in self.dynamic or flags & DF_BIND_NOW
        if not (now or self.dynamic.get(DT_FLAGS_1, 0) & DF_1_NOW):
            found.append("functions are bound when they are first called")
        if not self._of_type(PT_GNU_RELRO):
            found.append("what was relocated stays writable")
        stacks = self._of_type(PT_GNU_STACK)
        if not stacks or any(flags & PF_EXECUTE for _, flags, *_ in stacks):
            found.append("the stack can be executed")
        both = PF_EXECUTE | PF_WRITE
        if any(flags & both == both for _, flags, *_ in self._of_type(PT_LOAD)):
            found.append("something is writable and can be executed")
        if DT_TEXTREL in self.dynamic or flags & DF_TEXTREL:
            found.append("code is relocated")
        if DT_RPATH in self.dynamic or DT_RUNPATH in self.dynamic:
            found.append("it brings a path to look for libraries along")
        if not self.wanted() & {"__stack_chk_fail", "__stack_chk_guard"}:
            found.append("nothing looks after the stack")
        # Not the mark of the whole file, which it has only where the C library's
        # own start-up files have it.
        if self.machine == EM_X86_64 and set(self.offered()) != {ENDBR64}:
            found.append("jumps and returns may lead anywhere")
        return found
