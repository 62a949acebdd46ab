"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import report
from .families import FAMILIES, Family
from .results import Results
from .runner import BenchmarkError, Progress, describe, run
from .scenarios import SCENARIOS

RESULTS = Path(__file__).resolve().parent / "results"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure futures_c beside its rivals: tables, raw JSON, a plot.",
    )
    made.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="which to run, see --list, or a whole family: "
        + ", ".join(FAMILIES)
        + " (default: all)",
    )
    made.add_argument("--list", action="store_true", help="list the scenarios and end")
    made.add_argument(
        "--rivals",
        metavar="A,B",
        help="who takes part (default: "
        + "; ".join(f"{f.name}: {','.join(f.rivals)}" for f in FAMILIES.values())
        + ")",
    )
    made.add_argument(
        "--large",
        action="store_true",
        help="with those that take gigabytes; named ones run in any case",
    )
    made.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="fresh processes per measurement (default: 5)",
    )
    made.add_argument(
        "--quick", action="store_true", help="smoke test; figures mean nothing"
    )
    made.add_argument(
        "--python",
        default=sys.executable,
        help="the interpreter to measure (default: this one)",
    )
    made.add_argument(
        "--output", type=Path, help="JSON file (default: in benchmarks/results)"
    )
    made.add_argument("--no-plot", action="store_true", help="draw nothing")
    made.add_argument(
        "--show",
        type=Path,
        metavar="JSON",
        help="print and draw a stored run, measure nothing",
    )
    made.add_argument(
        "--compare",
        type=Path,
        nargs=2,
        metavar="JSON",
        help="set two stored runs side by side",
    )
    return made


def tell(progress: Progress) -> None:
    """Show how far the run is, on a terminal on one line."""
    left = ""
    if progress.done:
        remaining = progress.seconds / progress.done * (progress.total - progress.done)
        left = f", about {remaining / 60:.1f} min left"
    text = (
        f"{progress.done}/{progress.total} round {progress.round + 1}: "
        f"{progress.scenario} with {progress.rival}{left}"
    )
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def draw(results: Results, path: Path) -> None:
    """Draw the picture, or say why there is none."""
    from .plot import draw as draw_picture

    try:
        draw_picture(results, path)
    except ImportError as error:
        print(f"no plot: {error} (pip install matplotlib)")
    else:
        print(f"plot: {path}")


def choose(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the scenarios that were asked for, by family, or exit with a text."""
    chosen: dict[str, list[str]] = {}
    for name in options.scenarios or FAMILIES:
        if name in FAMILIES:
            found = FAMILIES[name].scenarios(options.large)
            chosen.setdefault(name, []).extend(scenario.name for scenario in found)
        elif name in SCENARIOS:
            chosen.setdefault(SCENARIOS[name].family, []).append(name)
        else:
            sys.exit(f"there is no scenario {name!r}; --list shows them")
    if options.output and len(chosen) > 1:
        sys.exit("--output is one file, and each family needs its own: name one family")
    return {family: list(dict.fromkeys(names)) for family, names in chosen.items()}


def choose_rivals(options: argparse.Namespace, family: Family) -> list[str]:
    """Return those who take part in a family's run, or exit with a text."""
    if options.rivals is None:
        return list(family.rivals)
    names = [name for name in options.rivals.split(",") if name]
    known = dict.fromkeys(name for f in FAMILIES.values() for name in f.rivals)
    for name in names:
        if name not in known:
            sys.exit(f"there is no rival {name!r}; there are {', '.join(known)}")
    return [name for name in names if name in family.rivals]


def measure(options: argparse.Namespace) -> int:
    """Measure each family that was asked for; return the exit code."""
    chosen = choose(options)
    rivals = {name: choose_rivals(options, FAMILIES[name]) for name in chosen}
    try:
        found = describe(options.python)
    except BenchmarkError as error:
        sys.exit(f"{options.python} cannot run the benchmarks: {error}")
    ours = any("futures_c" in names for names in rivals.values())
    if ours and found["futures_c"] is None:
        sys.exit(
            f"futures_c does not import here ({found['futures_c_error']}); "
            "install it (pip install .) or leave it out with --rivals"
        )
    version = tuple(map(int, found["python"]["name"].rstrip("t").split(".")))
    failed = []
    for family in chosen:
        since = FAMILIES[family].since
        if version < since:
            print(f"{family}: the standard ones came with Python {since[0]}.{since[1]}")
        elif rivals[family]:
            failed.append(
                measure_family(options, family, chosen[family], rivals[family])
            )
    return 1 if any(failed) else 0


def measure_family(
    options: argparse.Namespace, family: str, scenarios: list[str], rivals: list[str]
) -> bool:
    """Run, print, store and draw; say if anything failed."""
    results = run(
        scenarios,
        rivals,
        processes=options.processes or (1 if options.quick else 5),
        quick=options.quick,
        python=options.python,
        progress=tell,
    )
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(report.full(results))
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = f"{family}-{results.python['name']}-{stamp}"
    if options.quick:
        name += "-quick"
    output = options.output or RESULTS / f"{name}.json"
    results.save(output)
    print(f"\nraw: {output}")
    if not options.no_plot:
        draw(results, output.with_suffix(".png"))
    return any(sample.error for sample in results.samples)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser().parse_args(arguments)
    if options.list:
        rows = [[s.name, s.title, ", ".join(s.rivals)] for s in SCENARIOS.values()]
        print(report.table(["scenario", "what it measures", "rivals"], rows))
        return 0
    if options.compare:
        first, second = options.compare
        names = (first.stem, second.stem)
        print(report.comparison(Results.load(first), Results.load(second), names))
        return 0
    if options.show:
        results = Results.load(options.show)
        print(report.full(results))
        if not options.no_plot:
            draw(results, options.show.with_suffix(".png"))
        return 0
    return measure(options)
