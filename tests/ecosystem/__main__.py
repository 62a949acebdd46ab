"""Runs other people's tests on both modules: ``tests/ecosystem/run``."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from ecosystem import halves, page
from ecosystem.comparing import Comparison
from ecosystem.packages import PACKAGES, Package


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/ecosystem/run", description=__doc__)
    names = [package.name for package in PACKAGES]
    parser.add_argument("package", nargs="*", help=f"of {', '.join(names)}; or all")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="write results.json and docs/ecosystem.md anew",
    )
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sdists", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.package) - set(names)
    if unknown:
        parser.error(f"no such package: {', '.join(unknown)}")
    if arguments.keep and arguments.package:
        parser.error("--keep is for all packages")
    return arguments


def _compare(package: Package, work: Path, sdists: Path) -> Comparison:
    """Run both halves of a package, one after the other, and say how it went."""
    began = time.monotonic()
    directory = halves.where(package, work / "tests", sdists)
    logs = work / "logs"
    standard, swapped = (
        halves.run(package, swapped, directory, logs) for swapped in (False, True)
    )
    one = Comparison(package, version(package.name), standard, swapped)
    seconds = time.monotonic() - began
    print(
        f"{package.name:<18} {one.version:<10} {len(one.passes):>4} the same passes"
        f" of {one.collected} tests, {len(one.faults)} differ;"
        f" {standard.executors} and {swapped.executors} executors; {seconds:.0f} s",
        flush=True,
    )
    for node in one.weak:
        print(f"  fails on the standard module as well: {node}")
    return one


def main() -> int:
    """Run them; the last line has the form of pytest's."""
    arguments = _arguments()
    # A shell has its background jobs ignore it, and so their children: the tests
    # that interrupt themselves would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    work = arguments.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    comparisons = [
        _compare(package, work, arguments.sdists.resolve())
        for package in PACKAGES
        if not arguments.package or package.name in arguments.package
    ]
    faults = [fault for one in comparisons for fault in one.faults]
    new = page.measured(comparisons)
    if not arguments.keep:
        faults += page.differences(new)
    elif not faults:
        page.keep(new)
    for fault in faults:
        print(f"--- {fault}")
    passes = sum(len(one.passes) for one in comparisons)
    seconds = time.monotonic() - began
    print(f"{passes} passed, {len(faults)} failed in {seconds:.1f}s")
    return 1 if faults else 0


sys.exit(main())
