"""python -m futures_c: run a program on the native module, as python runs it.

The interpreter is started again, in the same process, with the same options and
what follows; the start-up file then does what ``FUTURES_C_INSTALL`` says.  So
arguments, ``__main__``, tracebacks and exit status are python's own.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

from futures_c._startup import VARIABLE

USAGE = """\
usage: python -m futures_c [option ...] script.py [argument ...]
       python -m futures_c [option ...] -m module [argument ...]
       python -m futures_c [option ...] -c code [argument ...]

Run a program with concurrent.futures replaced by futures_c, in its worker
processes too.  The options are those of python.
"""
PACKAGE = "futures_c"
#: What this version reads at its start: see setup.py.
START_FILE = f"{PACKAGE}.start" if sys.version_info >= (3, 18) else f"{PACKAGE}.pth"


def options_before(original: list[str], count: int) -> list[str]:
    """The interpreter's own options, which end with ``-m futures_c``.

    *original* is ``sys.orig_argv``, its last *count* items are the program's.
    """
    options = original[1 : len(original) - count]
    last = options.pop()
    # "-m futures_c", "-mfutures_c", "-Im futures_c", "-Imfutures_c"
    short = options.pop() if last == PACKAGE else last.removesuffix(PACKAGE)
    short = short.removesuffix("m")
    return options if short in ("", "-") else [*options, short]


def short_options(program: list[str]) -> str:
    """The short options of python that *program* begins with, as one text."""
    found = ""
    rest = iter(program)
    for option in rest:
        if option == "--check-hash-based-pycs":
            next(rest, None)
        if option == "-" or not option.startswith("-"):
            break
        letters = "" if option.startswith("--") else option[1:]
        for at, letter in enumerate(letters):
            found += letter
            if letter in "cm":
                return found
            if letter in "WX":
                # Its value: what is left of the word, or the next one.
                if at == len(letters) - 1:
                    next(rest, None)
                break
    return found


def has_start_file(options: str) -> bool:
    """Whether an interpreter with these short options reads our start-up file."""
    if sys.flags.no_site or "S" in options:
        return False
    directories = [*site.getsitepackages()]
    if site.ENABLE_USER_SITE and not {*"Is"} & {*options}:
        directories.append(site.getusersitepackages())
    return any(Path(one, START_FILE).exists() for one in directories)


def main() -> None:
    """Start the interpreter again."""
    program = sys.argv[1:]
    if not program or program[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if program else sys.stderr)
        sys.exit(0 if program else 2)
    if not has_start_file(short_options(program)):
        sys.exit(
            f"python -m {PACKAGE} needs {START_FILE} in site-packages, where"
            " installing the package puts it, and an interpreter that reads it"
            " (no -S)"
        )
    options = options_before(sys.orig_argv, len(program))
    os.environ.setdefault(VARIABLE, "once")
    if os.environ[VARIABLE] != "1":
        os.environ[VARIABLE] = "once"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *options, *program])


if __name__ == "__main__":
    main()
