"""Builds futures_c._native; everything else is in pyproject.toml.

Switches, read from the environment:

FUTURES_C_PORT=posix       the portable half of src/port on Linux as well
FUTURES_C_DEBUG=1          -O0 -g, with assertions
FUTURES_C_SANITIZE=thread  (or address, undefined) -O1 -g, with assertions
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError

HERE = Path(__file__).resolve().parent

#: What the compiler must be able to do, in one small file.
PROBE = """
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
_Atomic(uint64_t) word;
uint64_t probe(void) { return atomic_fetch_add(&word, (uint64_t)pthread_self()); }
"""

#: What makes faults harder to use: checks of sizes that are known, and of the
#: stack; a touch of each page of it in a function that takes more than one (there is
#: one); jumps and returns that only lead where they may (x86 alone: a no-op at the
#: head of functions that are called by address); no address that could be
#: overwritten after loading, and no stack that could be executed.  Each where
#: compiler and linker take it without a warning: who asks for another level of
#: fortification (or whose compiler does) gets that.  docs/SECURITY.md says what is
#: left out because it takes time.
HARDENING_COMPILING = [
    "-D_FORTIFY_SOURCE=2",
    "-fstack-protector-strong",
    "-fstack-clash-protection",
    "-fcf-protection",
]
HARDENING_LINKING = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


def refuse(reason: str) -> None:
    """Stop with one sentence."""
    sys.exit(f"futures_c cannot be built here: {reason}.")


def check_system() -> None:
    """Refuse what is known not to work, before anything is compiled."""
    if sys.version_info < (3, 11):  # noqa: UP036 - pip may be told not to look
        refuse(f"it needs Python 3.11 or newer, and this is {sys.version.split()[0]}")
    if sys.implementation.name != "cpython":
        refuse(f"it is written for CPython, and this is {sys.implementation.name}")
    if sys.platform == "win32":
        refuse("it needs Linux or another POSIX system; Windows is not supported yet")


def sources() -> list[str]:
    """Every C file but the half of the port layer that is for other systems."""
    other = "linux" if portable() else "posix"
    found = (path.relative_to(HERE) for path in sorted(HERE.glob("src/*/*.c")))
    return [str(path) for path in found if not path.name.endswith(f"_{other}.c")]


def portable() -> bool:
    """Whether the portable half of the port layer is built."""
    asked = os.environ.get("FUTURES_C_PORT") == "posix"
    return asked or not sys.platform.startswith("linux")


def released() -> bool:
    """Whether this build is for use, not for finding faults."""
    return not (
        os.environ.get("FUTURES_C_SANITIZE") or os.environ.get("FUTURES_C_DEBUG")
    )


def flags() -> tuple[list[str], list[str]]:
    """The arguments for compiling and for linking."""
    compiling = ["-std=c11", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra"]
    linking = ["-pthread"]
    sanitizer = os.environ.get("FUTURES_C_SANITIZE")
    if sanitizer:
        compiling += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer"]
        compiling += [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
        linking.append(f"-fsanitize={sanitizer}")
    elif os.environ.get("FUTURES_C_DEBUG"):
        compiling += ["-O0", "-g", "-UNDEBUG"]
    else:
        compiling.append("-O3")
    return compiling, linking


class BuildNative(build_ext):
    """build_ext that says plainly what is missing before it compiles."""

    def finalize_options(self) -> None:
        """Compile anew each time: the switches leave no trace in a file's date.

        Not in initialize_options(), after which the base class forgets it.
        """
        super().finalize_options()
        self.force = True

    def build_extensions(self) -> None:
        """Check headers and compiler, then build."""
        include = Path(sysconfig.get_path("include"))
        if not (include / "Python.h").exists():
            refuse(
                f"the headers of Python {sysconfig.get_python_version()} are missing"
                f" (no {include / 'Python.h'}; Debian and Ubuntu have them in"
                f" python{sysconfig.get_python_version()}-dev)"
            )
        if not self.can_build([], []):
            refuse("it needs a C compiler that knows C11 atomics (or set CC)")
        if released():
            self.harden()
        super().build_extensions()

    def can_build(self, compiling: list[str], linking: list[str]) -> bool:
        """Whether the probe can be built with these arguments."""
        with tempfile.TemporaryDirectory() as scratch:
            probe = Path(scratch, "probe.c")
            probe.write_text(PROBE)
            try:
                objects = self.compiler.compile(
                    [str(probe)],
                    output_dir=scratch,
                    extra_postargs=["-std=c11", *compiling],
                )
                self.compiler.link_shared_object(
                    objects, str(Path(scratch, "probe.so")), extra_postargs=linking
                )
            except (CCompilerError, OSError):
                return False
        return True

    def harden(self) -> None:
        """Add what of HARDENING_COMPILING and HARDENING_LINKING is known here."""
        (extension,) = self.extensions
        for flag in HARDENING_COMPILING:
            # Fortification warns where nothing is optimized.
            if self.can_build(["-O3", "-Werror", flag], []):
                extension.extra_compile_args.append(flag)
        for flag in HARDENING_LINKING:
            if self.can_build([], [flag]):
                extension.extra_link_args.append(flag)


class BuildPackage(build_py):
    """build_py that puts the start-up file beside the package.

    In site-packages: there the interpreter reads it.  Python 3.18 will pass over
    the import lines of .pth files.  Until then it is not the .start file that
    replaces them (3.15 and later): that is read at the cost of pkgutil and of our
    package in every interpreter, 9 ms on 3.15 (2026-11-27), whereas the line asks
    for the environment variable first.
    """

    START = "futures_c.start" if sys.version_info >= (3, 18) else "futures_c.pth"

    def run(self) -> None:
        """Copy it too."""
        super().run()
        if not self.editable_mode:
            self.copy_file(str(HERE / self.START), self.build_lib)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List it too."""
        outputs = list(super().get_outputs(include_bytecode))
        return [*outputs, str(Path(self.build_lib, self.START))]


check_system()
compiling, linking = flags()
setup(
    cmdclass={"build_ext": BuildNative, "build_py": BuildPackage},
    ext_modules=[
        Extension(
            "futures_c._native",
            sources=sources(),
            depends=sorted(str(p.relative_to(HERE)) for p in HERE.glob("src/*/*.h")),
            include_dirs=["src"],
            define_macros=[("FC_PORT_POSIX", "1")] if portable() else [],
            extra_compile_args=compiling,
            extra_link_args=linking,
        )
    ],
)
