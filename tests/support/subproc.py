"""Run a script in a fresh interpreter, under a time cap.

What ends an interpreter, forks it, sends it signals or may hang for ever is
tested in an interpreter of its own.  A script that outlives its cap is sent
SIGABRT, upon which faulthandler writes the traceback of every thread to its
standard error; then its whole process group is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

#: Seconds that a script may take unless the test says otherwise.  It covers
#: an interpreter's start on a busy machine; a sound script needs a fraction.
DEFAULT_CAP = 30.0

#: Seconds that faulthandler gets to write its tracebacks.
DUMP_GRACE = 5.0


@dataclass(frozen=True)
class Outcome:
    """What a script left behind."""

    args: Sequence[str]
    returncode: int
    stdout: str
    stderr: str
    timed_out: bool

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.stdout.splitlines()

    def describe(self) -> str:
        """Say in full what happened, for the message of a failed test."""
        head = (
            f"the script hung and was ended, exit code {self.returncode}"
            if self.timed_out
            else f"exit code {self.returncode}"
        )
        return f"{head}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"

    def check(self, code: int = 0) -> Outcome:
        """Fail the test unless the script ended by itself with *code*."""
        assert not self.timed_out, self.describe()
        assert self.returncode == code, self.describe()
        return self


def _package_path(module: ModuleType) -> str | None:
    """The directory to put on PYTHONPATH so that a child finds *module*.

    None where the child finds it by itself.
    """
    top = sys.modules[module.__name__.partition(".")[0]]
    if top.__file__ is None:
        return None
    root = str(Path(top.__file__).resolve().parent.parent)
    known = {str(Path(p).resolve()) for p in sysconfig.get_paths().values()}
    return None if root in known else root


def _end_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the script's process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def run_script(
    source: str,
    *args: str,
    futures: ModuleType | None = None,
    cap: float = DEFAULT_CAP,
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
    stdin: str = "",
) -> Outcome:
    """Run *source* in a fresh interpreter and return its Outcome.

    *source* is dedented, and sees the module *futures* under that name and
    the further *args* in ``sys.argv[1:]``.  Warnings are errors there.
    *flags* are interpreter options, *env* is added to the environment, *uid*
    makes the script run as that user.  The script is the ``__main__`` of a
    ``-c`` run in a process group of its own.
    """
    source = textwrap.dedent(source)
    environ = dict(os.environ)
    environ.pop("PYTHONWARNINGS", None)
    environ["PYTHONUNBUFFERED"] = "1"
    environ.update(env or {})
    if futures is not None:
        name = futures.__name__
        source = f"import {name}.thread; import {name} as futures\n{source}"
        path = _package_path(futures)
        if path is not None:
            environ["PYTHONPATH"] = path
    command = [
        sys.executable, "-P", "-X", "faulthandler", "-W", "error",
        *flags, "-c", source, *args,
    ]  # fmt: skip
    return run_command(command, environ, cap=cap, uid=uid, stdin=stdin)


def run_command(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    cap: float = DEFAULT_CAP,
    uid: int | None = None,
    stdin: str = "",
    cwd: Path | None = None,
) -> Outcome:
    """Run a command with exactly this environment and return its Outcome."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
        user=uid,
        cwd=cwd,
    )
    timed_out = False
    try:
        out, err = process.communicate(stdin, timeout=cap)
    except subprocess.TimeoutExpired:
        timed_out = True
        process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DUMP_GRACE)
        # Its forked children hold the pipes open until they end too.
        _end_group(process)
        out, err = process.communicate()
    finally:
        _end_group(process)
        process.wait()
    return Outcome(command, process.returncode, out, err, timed_out)
