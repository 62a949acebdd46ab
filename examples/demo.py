#!/usr/bin/env python3
"""Crawl, convert images and run short tasks, on both modules, and compare.

    python demo.py [--output-dir build/demo] [--rounds 3]

First whole programs, with the pools of concurrent.futures and with those of
futures_c in turn: crawler.py fetches the site that demo_site.py serves from
another process, images.py converts a folder of images that demo_drawing.py
has drawn, and image_pipeline.py does so with the same images from the site.
Both modules have to bring home the same pages and images with the same bytes.
Then come short tasks: the scenarios of benchmarks/ about threads, and what
demo_processes.py measures. Every figure is the median over the rounds, and
each round of each module is a process of its own.

The programs mostly wait, parse, decode and compress. The tables show that too:
where nothing is to be gained, the ratio is 1.0x.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
STANDARD, OURS = "concurrent.futures", "futures_c"
MODULES = (STANDARD, OURS)

# The scenarios of benchmarks/ that are about short tasks, with their names in
# the table here.
SCENARIOS = {
    "bulk-4": "submit + result in bulk",
    "map": "map",
    "as_completed": "as_completed",
    "callbacks": "callback on each",
    "ping-pong": "submit(f).result()",
    "first-call": "the same after 1 ms idle",
    "bytes": "memory per pending task",
}
RIVALS = {STANDARD: "standard", OURS: "futures_c"}  # as benchmarks/ calls them

# What demo_processes.py measures: the name in the table, the unit, and how
# many microseconds that is.
PROCESS_TASKS = {
    "bulk": ("submit + result in bulk", "us", 1),
    "map": ("map", "us", 1),
    "ping-pong": ("submit(f).result()", "us", 1),
    "payload": ("10 MB there and back", "ms", 1000),
}

PROGRAM_CAP = 120  # seconds for one run of a program; it takes two to five
SCENARIO_CAP = 60  # seconds for one scenario; it takes about one
BROKEN = "broken.jpg"  # the image that nobody can read


def figure(value: float) -> str:
    """Return a number with about three digits that count."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


class Row(NamedTuple):
    """One line of a table; the ratio says how many times better ours is."""

    name: str
    standard: float
    ours: float
    unit: str
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times better futures_c is; below 1 it is worse."""
        better, worse = (
            (self.ours, self.standard)
            if self.more_is_better
            else (self.standard, self.ours)
        )
        return better / worse if worse else float("nan")

    @property
    def figures(self) -> tuple[str, str]:
        """Both values as text."""
        return figure(self.standard), figure(self.ours)


class Table(NamedTuple):
    """Rows under a title; the key is their name in demo.json."""

    key: str
    title: str
    rows: list[Row]


class Failure(Exception):
    """The demo cannot go on, or found something wrong; the text says what."""


def say(text: str) -> None:
    """Tell people how far things are."""
    print(text, file=sys.stderr, flush=True)


def run(command: list[str], cap: float, status: int = 0) -> str:
    """Run one process of a round and return its output.

    Another exit status than *status* is a Failure.
    """
    try:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=cap
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"no end after {cap} s: {' '.join(command)}") from error
    if done.returncode != status:
        raise Failure(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def in_turn(rounds: int, measure: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Measure both modules so many times, changing who comes first."""
    results: dict[str, list[Any]] = {module: [] for module in MODULES}
    for number in range(rounds):
        for module in MODULES if number % 2 == 0 else reversed(MODULES):
            results[module].append(measure(module))
    return results


def check_same(results: dict[str, list[Any]]) -> None:
    """Raise Failure unless all runs brought the same results."""
    first, *others = [
        figures["found"] for module in MODULES for figures in results[module]
    ]
    for other in others:
        if other != first:
            differing = "\n".join(sorted(str(one) for one in first ^ other)[:10])
            raise Failure(f"the runs brought different results:\n{differing}")


def program_rows(results: dict[str, list[Any]], things: str, work: str) -> list[Row]:
    """Return the rows about a program that works on *things*."""

    def row(
        name: str, key: str, unit: str, scale: float = 1.0, more_is_better: bool = False
    ) -> Row:
        standard, ours = (median(r[key] for r in results[m]) / scale for m in MODULES)
        return Row(name, standard, ours, unit, more_is_better)

    for figures in (*results[STANDARD], *results[OURS]):
        figures["rate"] = figures[things] / figures["seconds"]
    return [
        row(things, things, ""),
        row("time", "seconds", "s"),
        row(f"{things} per second", "rate", "1/s", more_is_better=True),
        row(f"CPU outside the {work} work", f"cpu_outside_{things}", "ms", 1e-3),
        row("peak memory", "peak_memory", "MB", 1e6),
    ]


# --- The crawl -------------------------------------------------------------


@contextlib.contextmanager
def served_site(modules: int, images: Path) -> Iterator[str]:
    """Serve documentation and images from another process; yield its address."""
    command = [f"--modules={modules}", f"--images={images}"]
    with subprocess.Popen(
        [sys.executable, str(HERE / "demo_site.py"), *command],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise Failure("the site does not start")
            yield address
        finally:
            process.kill()


def crawl(address: str, module: str, directory: Path) -> dict[str, Any]:
    """Crawl the site once; return the figures, and the pages under "found"."""
    output = directory / f"pages-{module}.jsonl"
    stats = directory / f"stats-{module}.json"
    command = [str(HERE / "crawler.py"), address, f"--module={module}"]
    run([*command, f"--output={output}", f"--stats={stats}"], PROGRAM_CAP)
    figures: dict[str, Any] = json.loads(stats.read_text(encoding="utf-8"))
    records = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    figures["found"] = {
        (r["url"], r["final"], r["status"], r["bytes"], r["sha256"]) for r in records
    }
    say(f"  {module}: {figures['pages']} pages in {figures['seconds']:.2f} s")
    return figures


def compare_crawls(address: str, rounds: int, directory: Path) -> list[Row]:
    """Crawl on both modules and return the rows of the table."""
    results = in_turn(rounds, lambda module: crawl(address, module, directory))
    check_same(results)
    return program_rows(results, "pages", "page")


# --- Images ----------------------------------------------------------------


def draw_images(folder: Path, options: argparse.Namespace) -> None:
    """Draw the images, in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(HERE / "demo_drawing.py"), str(folder)]
    size = [f"--images={options.images}", f"--width={options.width}"]
    run([*command, *size], PROGRAM_CAP)


def convert(
    program: str, source: str, module: str, directory: Path, expected: int
) -> dict[str, Any]:
    """Convert all images once; return the figures, and the images under "found".

    All but the broken one have to be there.
    """
    output = directory / f"small-{module}"
    shutil.rmtree(output, ignore_errors=True)
    stats = directory / f"stats-{module}.json"
    command = [str(HERE / program), source, f"--module={module}"]
    # The status says that there was a file of which nothing became.
    run([*command, f"--output={output}", f"--stats={stats}"], PROGRAM_CAP, status=1)
    figures: dict[str, Any] = json.loads(stats.read_text(encoding="utf-8"))
    failed = {(Path(name).name, text) for name, text in figures["failed"].items()}
    small = {path.name: path.read_bytes() for path in output.iterdir()}
    if {name for name, _ in failed} != {BROKEN} or len(small) != expected:
        raise Failure(f"{program}: {len(small)} images, errors: {failed or 'none'}")
    figures["found"] = failed | {
        (name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in small.items()
    }
    say(f"  {module}: {figures['images']} images in {figures['seconds']:.2f} s")
    return figures


def compare_images(
    folder: Path, address: str, options: argparse.Namespace
) -> tuple[list[Row], list[Row]]:
    """Convert on both modules, from the folder and from the site.

    Returns the rows of both tables.
    """
    sources = {"images.py": str(folder), "image_pipeline.py": f"{address}images/"}
    everything: dict[str, list[Any]] = {module: [] for module in MODULES}
    tables = []
    for program, source in sources.items():
        say(f"Converting the images with {program} ...")

        def measure(
            module: str, program: str = program, source: str = source
        ) -> dict[str, Any]:
            directory: Path = options.output_dir
            return convert(program, source, module, directory, options.images)

        results = in_turn(options.rounds, measure)
        tables.append(program_rows(results, "images", "image"))
        for module in MODULES:
            everything[module] += results[module]
    check_same(everything)
    return tables[0], tables[1]


# --- Short tasks -----------------------------------------------------------


def measure_here(scenario: str, rival: str, quick: bool) -> float:
    """Measure one scenario of benchmarks/ in this process."""
    # At the end of the path: the futures_c that is installed comes first, not
    # the source beside benchmarks/.
    sys.path.append(str(REPOSITORY))
    from benchmarks.meter import Meter
    from benchmarks.rivals import RIVALS
    from benchmarks.scenarios import SCENARIOS

    value, _ = SCENARIOS[scenario].measure(RIVALS[rival](), Meter(quick=quick))
    return float(value)


def compare_scenarios(rounds: int, quick: bool) -> list[Row]:
    """Run the short tasks on both modules and return the rows of the table."""
    rows = []
    for scenario, name in SCENARIOS.items():
        command = [str(Path(__file__).resolve()), "--measure", scenario]
        if quick:
            command.append("--quick")

        def measure(module: str, command: list[str] = command) -> float:
            return float(run([*command, "--module", module], SCENARIO_CAP))

        results = in_turn(rounds, measure)
        memory = scenario == "bytes"
        scale = 1 if memory else 1000  # nanoseconds to microseconds
        standard, ours = (median(results[module]) / scale for module in MODULES)
        rows.append(Row(name, standard, ours, "bytes" if memory else "us"))
        say(f"  {name}: {rows[-1].ratio:.1f}x")
    return rows


def compare_processes(rounds: int, quick: bool) -> list[Row]:
    """Run the short tasks in processes and return the rows of the table."""
    rows = []
    for name, (title, unit, scale) in PROCESS_TASKS.items():
        command = [str(HERE / "demo_processes.py"), name]
        if quick:
            command.append("--quick")

        def measure(module: str, command: list[str] = command) -> float:
            return float(run([*command, f"--module={module}"], SCENARIO_CAP))

        results = in_turn(rounds, measure)
        standard, ours = (median(results[module]) / scale for module in MODULES)
        rows.append(Row(title, standard, ours, unit))
        say(f"  {title}: {rows[-1].ratio:.1f}x")
    return rows


# --- Tables and files ------------------------------------------------------


def as_text(table: Table) -> str:
    """Return a table for people."""
    widths = (31, 19, 11, 7)
    head = ("", STANDARD, OURS, "ratio")
    lines = [table.title]
    for cells in (head, *(table_cells(row) for row in table.rows)):
        name, *numbers = cells
        lines.append(
            name.ljust(widths[0])
            + "".join(n.rjust(w + 2) for n, w in zip(numbers, widths[1:], strict=True))
        )
    lines.insert(2, "-" * len(lines[1]))
    return "\n".join(lines)


def table_cells(row: Row) -> tuple[str, str, str, str]:
    """Return the cells of one line."""
    if not row.unit:  # A number of things, which is the same or an error.
        return row.name, f"{row.standard:.0f}", f"{row.ours:.0f}", ""
    return f"{row.name}, {row.unit}", *row.figures, f"{row.ratio:.1f}x"


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    implementation = platform.python_implementation()
    return (
        f"{implementation} {platform.python_version()}, {cpus or os.cpu_count()} CPUs,"
        f" {platform.system()} {platform.machine()}"
    )


def demonstrate(options: argparse.Namespace) -> None:
    """Do everything, print the tables and write the files."""
    directory: Path = options.output_dir
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / "images"
    say("Drawing the images and rendering the site ...")
    draw_images(folder, options)
    with served_site(options.modules, folder) as address:
        say(f"Crawling {address} ...")
        crawls = compare_crawls(address, options.rounds, directory)
        images, pipelines = compare_images(folder, address, options)
    say("Running short tasks in threads ...")
    tasks = compare_scenarios(options.rounds, options.quick)
    say("Running short tasks in processes ...")
    process_tasks = compare_processes(options.rounds, options.quick)

    # In the order in which a reader may ask: programs first.
    tables = [
        Table("crawl", "A crawl: the same pages, the same bytes", crawls),
        Table("images", "A folder of images in processes: the same bytes", images),
        Table("pipeline", "Threads download, processes convert: the same", pipelines),
        Table("tasks", "Short tasks: functions that do nothing, 4 workers", tasks),
        Table("process_tasks", "Short tasks in 2 processes", process_tasks),
    ]
    rounds = "1 round" if options.rounds == 1 else f"median of {options.rounds} rounds"
    heading = f"{machine()}; {rounds}"
    text = "\n\n".join((heading, *map(as_text, tables)))
    print(text, flush=True)
    (directory / "demo.txt").write_text(text + "\n", encoding="utf-8")
    everything = {"machine": heading, **{table.key: table.rows for table in tables}}
    (directory / "demo.json").write_text(
        json.dumps(everything, indent=1, default=Row._asdict), encoding="utf-8"
    )
    try:
        from demo_picture import draw
    except ImportError as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        say(f"No picture without matplotlib: {reason}")
    else:
        draw(heading, {t.key: t.rows for t in tables}, directory / "demo.png")
        say(f"Picture: {directory / 'demo.png'}")


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Compare both modules.")
    parser.add_argument("--output-dir", type=Path, default=Path("build/demo"))
    parser.add_argument("--rounds", type=int, default=3, help="processes per figure")
    parser.add_argument("--modules", type=int, default=300, help="size of the site")
    parser.add_argument("--images", type=int, default=60, help="to convert")
    parser.add_argument("--width", type=int, default=1600, help="of these, in pixels")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--measure", choices=SCENARIOS, help=argparse.SUPPRESS)
    parser.add_argument("--module", choices=MODULES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(measure_here(options.measure, RIVALS[options.module], options.quick))
        return 0
    if options.quick:
        options.rounds, options.modules = 1, 25
        options.images, options.width = 9, 400
    try:
        demonstrate(options)
    except Failure as failure:
        say(f"demo: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
