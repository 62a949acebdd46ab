"""Builds the program of tests/schedules, and mutants of the sources; runs them.

See tests/schedules/run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from mutation import Mutation
from mutations import MUTATIONS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = Path(os.environ.get("BUILD", ROOT / "build" / "schedules"))
CC = os.environ.get("CC", "gcc")

# Without the sanitizer: they are the machinery, and touch poisoned memory.
MACHINERY = [
    "scheduler",
    "points",
    "seen",
    "trace",
    "coroutine",
    "port",
    "memory",
    "systematic",
    "random",
    "replay",
    "main",
]
# src/core/hazard.c comes by hazards.c.
UNDER_TEST = [
    "core/queue.c",
    "core/dispatch.c",
    "core/lifosem.c",
    "core/table.c",
    "core/group.c",
    "core/lock.c",
    "ipc/requests.c",
    "ipc/idle.c",
    "ipc/results.c",
    "ipc/batches.c",
]
FLAGS = [
    *("-std=gnu11", "-g", "-O1", "-fno-omit-frame-pointer"),
    *("-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-unused-value"),
]
WRAP = "-Wl,--wrap=malloc,--wrap=aligned_alloc,--wrap=calloc,--wrap=free"
SANITIZER = "-fsanitize=address"

# What a mutant that does not end is given; a found fault ends it at once.
MUTANT_SECONDS = 120


def cc(*arguments: str) -> None:
    """Run the compiler."""
    subprocess.run([CC, *arguments], check=True)


def compiled(
    source: Path,
    objects: Path,
    tree: Path,
    *extra: str,
    sanitizer: bool,
    cells: int = 1,
) -> str:
    """Compile one file, with the sources of `tree`; the object's path."""
    target = objects / f"{source.stem}-{cells}.o"
    size = [f"-DFC_CELLS_FIRST={cells}", f"-DFC_CELLS_MAX={cells}"]
    include = [f"-I{HERE / 'shim'}", f"-I{HERE}", f"-I{tree}", f"-I{ROOT / 'src'}"]
    if sanitizer:
        extra = (*extra, SANITIZER)
    cc(*FLAGS, *size, *include, *extra, "-c", str(source), "-o", str(target))
    return str(target)


def link(objects: list[str], program: Path) -> Path:
    """Make the program."""
    cc(SANITIZER, WRAP, *objects, "-o", str(program))
    return program


def sources() -> dict[str, tuple[Path, bool]]:
    """What the program consists of: by object, the file; under the sanitizer?"""
    files = {name: (HERE / f"{name}.c", False) for name in MACHINERY}
    for path in [
        HERE / "hazards.c",
        HERE / "segment_kit.c",
        *sorted(HERE.glob("cases_*.c")),
    ]:
        files[path.stem] = (path, True)
    for name in UNDER_TEST:
        path = ROOT / "src" / name
        files[path.stem] = (path, True)
    return files


def check_operations() -> None:
    """Refuse atomic operations that the scheduler does not see."""
    shim = (HERE / "shim" / "stdatomic.h").read_text()
    known = set(re.findall(r"#define (atomic_\w+)", shim))
    known |= {"atomic_flag", "atomic_bool"}
    for name in [*UNDER_TEST, "core/hazard.c", "core/lock.h", "core/table.h"]:
        text = (ROOT / "src" / name).read_text()
        used = set(re.findall(r"\b(atomic_\w+|__atomic_\w+|__sync_\w+)\b", text))
        if unknown := used - known:
            sys.exit(f"schedules: {name} uses {unknown}: add it to stdatomic.h")


# How many cells a segment has: so few that segments are retired all the time.
CELLS = (1, 2)


def program(cells: int) -> Path:
    """The program of the sources as they are."""
    return BUILD / f"schedules-{cells}"


def build() -> dict[int, dict[str, str]]:
    """Make the programs; their objects by name, by the number of cells."""
    check_operations()
    objects = BUILD / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    made: dict[int, dict[str, str]] = {cells: {} for cells in CELLS}
    for name, (path, sanitizer) in sources().items():
        for cells in CELLS:
            if cells != 1 and name != "queue":
                made[cells][name] = made[1][name]
                continue
            made[cells][name] = compiled(
                path, objects, ROOT / "src", sanitizer=sanitizer, cells=cells
            )
    for cells in CELLS:
        link(list(made[cells].values()), program(cells))
    return made


def includes(path: Path, header: str, tree: Path) -> bool:
    """Whether a file includes a header of ours, directly or not."""
    seen: set[str] = set()
    todo = [path]
    while todo:
        for name in re.findall(r'#include "([^"]+)"', todo.pop().read_text()):
            if name == header:
                return True
            for folder in (HERE, tree):
                if name not in seen and (folder / name).exists():
                    seen.add(name)
                    todo.append(folder / name)
    return False


def build_mutant(mutation: Mutation, originals: dict[str, str]) -> Path:
    """The program with one fault in it."""
    folder = BUILD / "mutants" / mutation.name
    target = folder / "src" / mutation.file
    target.parent.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "src" / mutation.file).read_text()
    for old, new in mutation.changes:
        if text.count(old) != 1:
            sys.exit(
                f"schedules: {mutation.name} does not apply: {mutation.file} has "
                f"{text.count(old)} times {old!r}"
            )
        text = text.replace(old, new)
    target.write_text(text)
    objects = dict(originals)
    for name, (path, sanitizer) in sources().items():
        source = path
        if path == ROOT / "src" / mutation.file:
            source = target
        elif mutation.file == "core/hazard.c" and name == "hazards":
            pass
        elif not includes(path, mutation.file, ROOT / "src"):
            continue
        # Without warnings: what a fault leaves unused does not matter.
        objects[name] = compiled(
            source,
            folder,
            folder / "src",
            "-w",
            sanitizer=sanitizer,
            cells=mutation.cells,
        )
    return link(list(objects.values()), folder / "schedules")


def reason(output: str) -> str:
    """What the program has found: the line that says so."""
    for line in output.splitlines():
        if line.startswith("FAILED "):
            return line.removeprefix("FAILED ")
    return ""


def try_mutant(
    mutation: Mutation, originals: dict[int, dict[str, str]]
) -> tuple[bool, str]:
    """Build and run a mutant: whether it was found out as it should be, and how."""
    mutant = build_mutant(mutation, originals[mutation.cells])
    command = [str(mutant), "--only", mutation.case]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=MUTANT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False, f"not found in {MUTANT_SECONDS} s"
    found = reason(run.stdout)
    if run.returncode == 0:
        return False, "SURVIVES"
    if not found:
        return False, f"exits with {run.returncode}: {run.stderr[-300:]}"
    if not re.search(mutation.expected, found):
        return False, f"{found}: not for the reason {mutation.expected!r}"
    return True, found


def try_mutants(
    names: list[str], originals: dict[int, dict[str, str]]
) -> tuple[int, int]:
    """Each mutant in turn; how many there were, and how many survive."""
    failures = count = 0
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        count += 1
        began = time.monotonic()
        ok, how = try_mutant(mutation, originals)
        failures += not ok
        seconds = time.monotonic() - began
        verdict = "found" if ok else "FAILED"
        print(f"{verdict:6} {mutation.name:34} {seconds:5.1f} s  {how}", flush=True)
    print(f"{count} mutants, {count - failures} found")
    return count, failures


# Which cases answer for the operations of a file, one after the other.
ANSWERS = {
    "queue.c": ["queue/tail", "queue/own-two", "queue/two-", "queue/both"],
    "hazard.c": ["hazard/"],
    "dispatch.c": ["dispatch/one-comes", "dispatch/never-come", "dispatch/one-each"],
    "lifosem.c": ["lifosem/"],
    "table.c": ["table/"],
    "lock.h": ["lock/"],
    "lock.c": ["lock/"],
    "group.c": ["group/", "bed/"],
    "requests.c": ["idle/two-w", "requests/cancelled", "requests/one-slot-and"],
    "idle.c": ["idle/counted", "idle/c", "idle/one-", "idle/two-w"],
    "results.c": ["results/"],
    "batches.c": ["batches/"],
}


# What does not have to be one operation as far as threads go, each by the text of
# its line; docs/internals/schedules.md says why.
INDIVISIBLE_FOR_NOTHING = [
    ("queue.c", "atomic_flag_test_and_set_explicit(&q->reclaiming"),
    ("group.c", "atomic_exchange_explicit(&g->state, OPEN"),
    ("group.c", "atomic_exchange_explicit(&g->remaining, target"),
    ("idle.c", "atomic_fetch_add_explicit(signal, 1"),
    ("batches.c", "&v->batch->next, &unseen"),
    ("results.c", "atomic_fetch_add_explicit(&s->header->results, 1"),
]


def is_exempt(file: str, line: int) -> bool:
    """Whether an operation is one of those above."""
    (path,) = [ROOT / "src" / n for n in UNDER_TEST if Path(n).name == file] or [None]
    if path is None:
        return False
    text = " ".join(path.read_text().splitlines()[line - 1 : line + 1])
    return any(f == file and part in text for f, part in INDIVISIBLE_FOR_NOTHING)


def sites() -> list[tuple[str, int, str]]:
    """The read-modify-writes and seq_cst stores under test: file, line, which."""
    command = [program(1), "--sites", "--bound", "1", "--runs", "100"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.findall(r"^site (\S+):(\d+) (\S+)$", run.stdout, re.MULTILINE)
    named = {(Path(file).name, int(line), what) for file, line, what in found}
    return sorted(site for site in named if site[0] in ANSWERS)


def tear(file: str, line: int) -> str:
    """What is found when the operation there is not atomic, or nothing."""
    for case in ANSWERS[file]:
        for cells in CELLS if file == "queue.c" else (1,):
            command = [program(cells), "--only", case, "--tear", f"{file}:{line}"]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode != 0:
                return reason(run.stdout)
    return ""


def tear_all(names: list[str]) -> tuple[int, int]:
    """Each operation in turn; how many there were, and how many nobody missed."""
    failures = count = exempt = 0
    for file, line, what in sites():
        if names and file not in names:
            continue
        if is_exempt(file, line):
            exempt += 1
            continue
        count += 1
        began = time.monotonic()
        found = tear(file, line)
        failures += not found
        seconds = time.monotonic() - began
        print(
            f"{'found' if found else 'FAILED':6} {file + ':' + str(line):16} {what:16} "
            f"{seconds:5.1f} s  {found or 'SURVIVES'}",
            flush=True,
        )
    print(f"{count} operations torn, {count - failures} found; {exempt} left out")
    return count, failures


def explore(*arguments: str) -> int:
    """Run the cases: all of them, and those of the queue in both sizes."""
    status = subprocess.run([program(1), *arguments]).returncode
    if status == 0 and "--only" not in arguments:
        print("--- the queue again, in segments of two cells", flush=True)
        status = subprocess.run([program(2), "--only", "queue/", *arguments]).returncode
    return status


def ends(*arguments: str) -> dict[str, int]:
    """In how many different ways each case ends, with one disturbance at most."""
    command = [program(1), "--bound", "1", "--runs", "0", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.findall(r"^(\S+) .* (\d+) ends", run.stdout, re.MULTILINE)
    return {case: int(count) for case, count in found}


def compare() -> int:
    """Hold giving up runs against running all of them: what differs."""
    shortened, whole = ends(), ends("--forget")
    differing = [case for case in whole if whole[case] != shortened[case]]
    for case in differing:
        print(f"FAILED {case}: {shortened[case]} ends instead of {whole[case]}")
    print(f"{len(whole)} cases, {len(differing)} of them end otherwise without states")
    return len(differing)


def prove(originals: dict[int, dict[str, str]], *arguments: str) -> int:
    """Explore, then show that it bites."""
    status = explore(*arguments)
    otherwise = compare()
    mutants, survivors = try_mutants([], originals)
    torn, unnoticed = tear_all([])
    if status or otherwise or survivors or unnoticed:
        print(f"schedules: {survivors} mutants survive, {unnoticed} operations")
        return 1
    print(
        "proved: no schedule within the bounds above loses a wake-up or an item, "
        f"doubles one or touches freed memory, and each of {mutants} planted faults "
        f"and {torn} torn atomic operations is found."
    )
    return 0


def main() -> int:
    """See tests/schedules/run."""
    arguments = sys.argv[1:]
    began = time.monotonic()
    cells = 1
    if arguments[:1] == ["--cells"]:
        cells = int(arguments[1])
        arguments = arguments[2:]
    originals = build()
    print(f"built in {time.monotonic() - began:.1f} s", flush=True)
    if cells != 1:
        return subprocess.run([program(cells), *arguments]).returncode
    match arguments[:1]:
        case ["--mutations"]:
            count, failures = try_mutants(arguments[1:], originals)
            return failures > 0 or count == 0
        case ["--torn"]:
            count, failures = tear_all(arguments[1:])
            return failures > 0 or count == 0
        case ["--compare"]:
            return compare() > 0
        case ["--prove"]:
            return prove(originals, *arguments[1:])
        case ["--long"]:
            return prove(originals, "--more", "1", "--runs", "20000", *arguments[1:])
    return explore(*arguments)


if __name__ == "__main__":
    sys.exit(main())
