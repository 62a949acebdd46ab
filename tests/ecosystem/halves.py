"""One half of a comparison: a package's tests, on one of the two modules.

A half is a pytest run in a process group of its own, in which inside/ is on the
path and its plugin writes down how the tests end.  One that outlives its cap has
the tracebacks of its threads in its log, by faulthandler, and has failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ecosystem.packages import Package

INSIDE = Path(__file__).resolve().parent / "inside"

#: Seconds that a half may take.
CAP = 240.0

#: Seconds that faulthandler gets to write its tracebacks.
DUMP_GRACE = 10.0

#: Exit codes of pytest that tell of tests, not of trouble.
RAN = (0, 1)

#: What only interpreter pools lack before 3.14, as status() names it.
NOT_THERE = "concurrent.futures.InterpreterPoolExecutor"

#: From the worst to the best.
OUTCOMES = ("error", "failed", "skipped", "xfailed", "xpassed", "passed")


@dataclass
class Half:
    """How the tests ended, by node id, and what was in use."""

    outcomes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    #: How many executors were made in pytest's own process.
    executors: int = 0
    #: What is wrong with the run as a whole; empty if nothing is.
    trouble: str = ""

    def note(self, node: str, outcome: str, text: str) -> None:
        """Take what the plugin noted: the worst of a test's steps counts."""
        before = self.outcomes.get(node, OUTCOMES[-1])
        self.outcomes[node] = min(outcome, before, key=OUTCOMES.index)
        if text:
            self.texts[node] = text


def unpack(package: Package, sdists: Path, target: Path) -> None:
    """Unpack tests and settings of a source distribution, and not the package.

    What is tested is what is installed.
    """
    name = f"{package.name.replace('-', '_')}-{version(package.name)}"
    with tarfile.open(sdists / f"{name}.tar.gz") as archive:
        for member in archive:
            path = Path(member.name).relative_to(name)
            if member.isfile() and (len(path.parts) == 1 or path.parts[0] == "tests"):
                file = archive.extractfile(member)
                assert file is not None and ".." not in path.parts
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(file.read())


def command(package: Package, directory: Path, settings: Path) -> list[str]:
    """The pytest run of a package, the tests of which lie in *directory*."""
    given = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    given += ["-p", "futures_c_recorder", "-o", "faulthandler_timeout=60"]
    given += ["--rootdir", str(directory)]
    if not package.own_settings:
        given += ["-c", str(settings)]
    for node in package.left_out:
        given += ["--deselect", node]
    return [*given, *package.options, *package.select]


def variables(record: Path, swapped: bool) -> dict[str, str]:
    """The environment, less what changes Python, pytest or where requests go."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "FUTURES_C"))
        and not name.lower().endswith("_proxy")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    kept |= {"PATH": path, "PYTHONPATH": str(INSIDE), "FUTURES_C_RECORD": str(record)}
    kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if swapped:
        kept["FUTURES_C_INSTALL"] = "1"
    return kept


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _exit_code(process: subprocess.Popen[bytes], cap: float) -> int | None:
    """Wait for it; None if it had to be ended."""
    try:
        return process.wait(cap)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DUMP_GRACE)
        return None
    finally:
        # Workers of theirs that outlive it.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def run(
    package: Package, swapped: bool, directory: Path, logs: Path, cap: float = CAP
) -> Half:
    """Run the tests in *directory*; the log and the record go to *logs*."""
    logs.mkdir(parents=True, exist_ok=True)
    stem = f"{package.name}-{'swapped' if swapped else 'standard'}"
    record, log = logs / f"{stem}.jsonl", logs / f"{stem}.log"
    settings = logs / "pytest.ini"
    settings.write_text("[pytest]\n")
    record.unlink(missing_ok=True)
    record.touch()
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command(package, directory, settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=variables(record, swapped),
            start_new_session=True,
        )
        code = _exit_code(process, cap)
    half = read(record, swapped)
    if code is None:
        half.trouble = f"hung: no end within {cap:g} s"
    elif code not in RAN:
        half.trouble = f"pytest ended with exit code {code}"
    if half.trouble:
        half.trouble += f"; see {log}\n{log.read_text(errors='replace')[-3000:]}"
    return half


def read(record: Path, swapped: bool) -> Half:
    """What the plugin has written; whether it was the module that was meant."""
    half = Half(trouble="the plugin did not come to its end")
    for line in record.read_text().splitlines():
        event = json.loads(line)
        if "node" in event:
            half.note(event["node"], event["outcome"], event["text"])
            continue
        half.executors = event["executors"]
        half.trouble = "\n".join(_wrong_module(event, swapped))
    return half


def _wrong_module(event: dict[str, Any], swapped: bool) -> Iterator[str]:
    if event["installed"] != swapped:
        yield "futures_c was not installed" if swapped else "futures_c was installed"
    if swapped:
        for name, why in event["standard"].items():
            if name != NOT_THERE or sys.version_info >= (3, 14):
                yield f"{name} was the standard one ({why})"


def where(package: Package, work: Path, sdists: Path) -> Path:
    """Where the tests of a package are, unpacked if they have to be."""
    if package.tests == "wheel":
        return Path(sysconfig.get_path("purelib"))
    target = work / package.name
    if not target.exists():
        unpack(package, sdists, target)
    return target
