"""What compilers and analyzers say of the C sources: nothing, or it fails.

    tools/static [--quick] [--only TOOL] [--jobs N] [PYTHON...]

The interpreters are those whose headers src/python is compiled with; default: the
one that runs this.  The first one's are what the analyzers see.  The tools:

warnings   gcc and clang with what ``WARNINGS`` lists; gcc while it optimizes as
           well, since it sees more then.
analyzer   gcc -fanalyzer, of what knows no Python: it does not know who owns an
           object, and would see leaks where there are none.
tidy       clang-tidy with .clang-tidy.  With --quick its checks that follow the
           ways through a function leave src/python out: they take a minute there.
cppcheck   cppcheck with cppcheck.txt beside this file.

What is suppressed is argued in those files.  The headers of an interpreter count as
the system's: what its macros do inside is not judged.  A tool is believed when it
has found what is planted for it in planted.c.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLANTED = HERE / "planted.c"
TOOLS = ("warnings", "analyzer", "tidy", "cppcheck")

WARNINGS = [
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wsign-conversion"),
    *("-Wstrict-prototypes", "-Wold-style-definition", "-Wmissing-prototypes"),
    *("-Wundef", "-Wvla", "-Wformat=2"),
]

COMMON = ["-std=c11", "-pthread", "-fvisibility=hidden", f"-I{ROOT / 'src'}"]

#: As tests/native.mk has it; with Python.h the interpreter says what is meant.
BARE = ["-D_POSIX_C_SOURCE=200809L"]

#: What clang-tidy counts aside: warnings in headers, and those that are suppressed.
COUNTS = re.compile(rb"^\d+ warnings?( and \d+ errors?)? generated\.\n", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """A tool and how it is called: the file stands between both parts."""

    name: str
    before: Sequence[str]
    after: Sequence[str] = ()
    #: Names of the warnings that it has to give for planted.c.
    planted: Sequence[str] = ()

    def ask(self, *files: Path) -> bytes:
        """What the tool says of the files."""
        names = [str(file.relative_to(ROOT)) for file in files]
        done = subprocess.run(
            [*self.before, *names, *self.after],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said = COUNTS.sub(b"", done.stdout)
        if done.returncode != 0 and not said:
            return b"%s: exit status %d\n" % (self.name.encode(), done.returncode)
        return said


def files_of(*folders: str) -> list[Path]:
    """The C files of some folders of src."""
    return sorted(
        file for name in folders for file in (ROOT / "src" / name).glob("*.c")
    )


NO_PYTHON = files_of("core", "ipc", "port")
BINDING = files_of("python")


def headers(python: str) -> str:
    """The argument that makes an interpreter's headers those of a system."""
    script = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.check_output([python, "-c", script], text=True).strip()
    if not Path(include, "Python.h").exists():
        sys.exit(f"static: no headers of {python} in {include}")
    return f"-isystem{include}"


def version(python: str) -> str:
    """What an interpreter calls itself."""
    script = (
        "import sys, sysconfig as s; print('%d.%d' % sys.version_info[:2],"
        " 't' * bool(s.get_config_var('Py_GIL_DISABLED')),"
        " 'd' * bool(s.get_config_var('Py_DEBUG')), sep='')"
    )
    return subprocess.check_output([python, "-c", script], text=True).strip()


class Verdict:
    """What has been said so far."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs)
        self.failed = False

    def _complain(self, line: str) -> None:
        print(f"static: {line}", flush=True)
        self.failed = True

    def believe(self, check: Check) -> None:
        """Find out whether a tool finds what is planted."""
        said = check.ask(PLANTED).decode(errors="replace")
        for warning in check.planted:
            if not re.search(rf"[\[,]{re.escape(warning)}[\],=]", said):
                self._complain(
                    f"{check.name} does not report what is planted: {warning}"
                )

    def judge(self, check: Check, files: Sequence[Path]) -> None:
        """Show whatever a tool says of the files."""
        began = time.monotonic()
        found = [said for said in self._pool.map(check.ask, files) if said]
        took = time.monotonic() - began
        for said in found:
            sys.stdout.write(said.decode(errors="replace"))
        if found:
            self._complain(f"{check.name}: findings in {len(found)} files, see above")
        else:
            print(
                f"static: {check.name}: nothing in {len(files)} files; {took:.0f} s",
                flush=True,
            )


def check_warnings(verdict: Verdict, pythons: Sequence[str]) -> None:
    """Compile with both compilers, each interpreter and each half of the port."""
    for compiler, narrowing in ("gcc", "-Wconversion"), ("clang", "-Wshorten-64-to-32"):
        planted = ["-Wshadow", "-Wsign-conversion", narrowing]
        parse = [compiler, *COMMON, *WARNINGS, "-fsyntax-only"]
        verdict.believe(Check(compiler, parse, planted=planted))
        verdict.judge(Check(f"{compiler}, core, ipc, port", [*parse, *BARE]), NO_PYTHON)
        verdict.judge(
            Check(f"{compiler}, the portable half", [*parse, *BARE, "-DFC_PORT_POSIX"]),
            NO_PYTHON,
        )
        for python in pythons:
            name = f"{compiler}, the binding on {version(python)}"
            verdict.judge(Check(name, [*parse, headers(python)]), BINDING)
    optimize = ["gcc", *COMMON, *WARNINGS, "-O2", "-c", "-o", "/dev/null"]
    verdict.judge(Check("gcc -O2, core, ipc, port", [*optimize, *BARE]), NO_PYTHON)
    verdict.judge(
        Check("gcc -O2, the binding", [*optimize, headers(pythons[0])]), BINDING
    )


def check_analyzer(verdict: Verdict) -> None:
    """Follow the ways through what knows no Python."""
    planted = ["double-free", "malloc-leak", "possible-null-dereference"]
    check = Check(
        "gcc -fanalyzer",
        [*("gcc", *COMMON, *BARE, "-O1", "-fanalyzer", "-c", "-o", "/dev/null")],
        planted=[f"-Wanalyzer-{name}" for name in planted],
    )
    verdict.believe(check)
    verdict.judge(check, NO_PYTHON)


def check_tidy(verdict: Verdict, python: str, quick: bool) -> None:
    """Ask clang-tidy."""
    fewer = ["--checks=-clang-analyzer-*"] if quick else []
    before = ["clang-tidy", "--quiet"]
    planted = [
        "bugprone-suspicious-memset-usage",
        "clang-analyzer-unix.Malloc",
        "misc-no-recursion",
    ]
    bare = Check("clang-tidy, core, ipc, port", before, ["--", *COMMON, *BARE], planted)
    verdict.believe(bare)
    verdict.judge(bare, NO_PYTHON)
    after = [*fewer, "--", *COMMON, headers(python)]
    verdict.judge(Check("clang-tidy, the binding", before, after), BINDING)


def check_cppcheck(verdict: Verdict) -> None:
    """Ask cppcheck, which is given the meaning of what it cannot see."""
    check = Check(
        "cppcheck",
        [
            *(
                "cppcheck",
                "--quiet",
                "--std=c11",
                "--platform=unix64",
                "--inconclusive",
            ),
            "--enable=warning,style,performance,portability",
            *("--library=posix", "--library=gnu", "--library=python"),
            f"--include={HERE / 'macros.h'}",
            f"--suppressions-list={HERE / 'cppcheck.txt'}",
            *("--template={file}:{line}: {message} [{id}]", "-Isrc"),
        ],
        planted=["doubleFree", "memleak", "memsetZeroBytes"],
    )
    verdict.believe(check)
    verdict.judge(check, NO_PYTHON + BINDING)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="tools/static",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="see tidy above")
    parser.add_argument("--only", action="append", choices=TOOLS, metavar="TOOL")
    parser.add_argument("--jobs", type=int, default=1, help="files at a time")
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    options = parser.parse_args()
    tools = options.only or TOOLS
    verdict = Verdict(options.jobs)
    if "warnings" in tools:
        check_warnings(verdict, options.pythons)
    if "analyzer" in tools:
        check_analyzer(verdict)
    if "tidy" in tools:
        check_tidy(verdict, options.pythons[0], options.quick)
    if "cppcheck" in tools:
        check_cppcheck(verdict)
    if not verdict.failed:
        print(
            f"proved: {' and '.join(tools)} find nothing in"
            f" {len(NO_PYTHON) + len(BINDING)} C files, and find what is planted"
        )
    return verdict.failed


if __name__ == "__main__":
    sys.exit(main())
