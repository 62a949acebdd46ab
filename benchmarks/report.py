"""Tables of a run, as Markdown that also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import FIGURES, NEVER_SLOWER
from .results import Results, Sample, Summary
from .scenarios import SCENARIOS, Scenario

# Above this load average, per core, the machine does other people's work.
BUSY_LOAD = 0.25


def significant(value: float) -> str:
    """Write a number with three significant digits, never in powers of ten."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def scale(value: float, unit: str) -> tuple[float, str]:
    """Return what to divide by, and the name of the unit that suits `value`."""
    if unit == "ns":
        for divisor, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
            if abs(value) >= divisor:
                return divisor, name
    return 1.0, {"bytes": "B", "switch intervals": "intervals"}.get(unit, unit)


def amount(found: Summary | None, unit: str) -> str:
    """Write a median and its extremes in one unit."""
    if found is None:
        return ""
    divisor, name = scale(found.median, unit)
    middle = significant(found.median / divisor)
    text = f"{middle}{name}" if name in ("x", "") else f"{middle} {name}"
    if found.count > 1:
        low, high = significant(found.low / divisor), significant(found.high / divisor)
        text += f" ({low} - {high})"
    return text


def problem(sample: Sample | None) -> str:
    """Say in a cell why there is no value."""
    if sample is None:
        return ""
    return "failed" if sample.error else "skipped"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table with aligned columns."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        )
        + " |"
        for line in lines
    )


def _rivals(results: Results) -> list[str]:
    """Return the rivals that have a place in the run, in their usual order."""
    taking_part = {
        rival
        for scenario in _scenarios(results)
        for rival in scenario.rivals
        if rival in results.settings["rivals"]
    }
    return [name for name in results.family.rivals if name in taking_part]


def _scenarios(results: Results) -> list[Scenario]:
    return [
        SCENARIOS[name] for name in results.settings["scenarios"] if name in SCENARIOS
    ]


def overview(results: Results) -> str:
    """Return the table of all scenarios."""
    rivals = _rivals(results)
    compare = {"futures_c", "standard"} <= set(rivals)
    header = ["scenario", "per", *(results.family.label(name) for name in rivals)]
    if compare:
        header += ["against standard", "against the fastest other"]
    rows = []
    for scenario in _scenarios(results):
        row = [scenario.name, scenario.per]
        for name in rivals:
            found = results.summary(scenario.name, name)
            text = amount(found, scenario.unit)
            row.append(text or problem(results.problem(scenario.name, name)))
        if compare:
            row.append(amount(results.ratio(scenario.name), "x"))
            row.append(_against_fastest(results, scenario.name))
        rows.append(row)
    return table(header, rows)


def _against_fastest(results: Results, scenario: str) -> str:
    found = results.against_fastest(scenario)
    best = results.fastest(scenario)
    if found is None or best is None:
        return ""
    return f"{significant(found.median)}x {results.family.label(best)}"


def backlog(results: Results) -> str:
    """Return the memory that each backlog added, per task and rival."""
    rivals = [name for name in _rivals(results) if name not in results.family.floors]
    rows = []
    for scenario in _scenarios(results):
        # A smaller backlog fits into what the allocator already holds.
        if scenario.name.startswith("pending-") and scenario.full["tasks"] >= 10**5:
            found = [
                results.summary(scenario.name, name, "bytes_per_task")
                for name in rivals
            ]
            rows.append([scenario.name, *(amount(cell, "bytes") for cell in found)])
    if not rows:
        return ""
    return table(
        ["memory per pending task", *(results.family.label(name) for name in rivals)],
        rows,
    )


# What scenarios note beside their values, and how it is written.
EXTRAS = {
    "wakeups": "wake-ups per second",
    "wakeups_of_one": "wake-ups per second of the thread with most",
    "chunksize": "chunksize that was found to be the best",
}


def extras(results: Results) -> str:
    """Return the table of what is no time: wake-ups, and a chunksize."""
    rivals = [name for name in _rivals(results) if name not in results.family.floors]
    rows = []
    for scenario in _scenarios(results):
        for extra, title in EXTRAS.items():
            found = [results.summary(scenario.name, name, extra) for name in rivals]
            if any(found):
                cells = [amount(cell, "") for cell in found]
                rows.append([f"{scenario.name}: {title}", *cells])
    if not rows:
        return ""
    return table(["also", *(results.family.label(name) for name in rivals)], rows)


def _mark(value: float, unit: str) -> str:
    divisor, name = scale(value, unit)
    return f"{value / divisor:g}{'' if name == 'x' else ' '}{name}"


def figures(results: Results) -> str:
    """Return the figures to reach with what the run measured."""
    quick = results.settings["quick"]
    rows = []
    for figure in FIGURES:
        if figure.scenario not in results.settings["scenarios"]:
            continue
        bound = "at most " if figure.ceiling else ""
        found = figure.value(results)
        rows.append(
            [
                figure.title,
                f"{bound}{_mark(figure.at_least, figure.unit)}"
                + (" always" if figure.always else ""),
                _mark(figure.aim, figure.unit),
                amount(found, figure.unit) or "not measured",
                figure.verdict(found) if found and not quick else "",
            ]
        )
    if not rows:
        return ""
    slowest = results.slowest_row()
    if slowest and results.settings.get("family") == "processes":
        scenario, ratio = slowest
        title = f"against the fastest other, worst row ({scenario})"
        verdict = "" if quick else NEVER_SLOWER.verdict(ratio)
        marks = [f"{NEVER_SLOWER.at_least:g}x", f"{NEVER_SLOWER.aim:g}x"]
        rows.append([title, *marks, amount(ratio, "x"), verdict])
    return table(["figure to reach", "at least", "aim", "measured", ""], rows)


def conditions(results: Results) -> str:
    """Describe in a few lines where and on what the run was made."""
    machine, python, settings = results.machine, results.python, results.settings
    loads = (
        f"{machine['load_average'][0]} before, {machine['load_average_after'][0]} after"
    )
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, {machine['libc']}",
        f"{python['implementation']} {python['version']} ({python['build']}, "
        f"{python['compiler']})"
        + (", free-threaded" if python["free_threaded"] else ""),
        f"futures_c {results.futures_c or 'not measured'}, commit {machine['commit']}, "
        f"{settings['started']}",
        f"median (least - most), processes: {settings['processes']}, "
        f"{settings['seconds']:.0f} s in all, load average {loads}",
    ]
    return "\n".join(lines)


def warnings(results: Results) -> list[str]:
    """Return what makes the figures doubtful."""
    found = []
    if results.settings["quick"]:
        found.append("this is a quick run: it shows that everything runs, nothing else")
    if results.python["debug"]:
        found.append("this interpreter is a debug build: its figures mean nothing")
    if results.machine["load_average"][0] > BUSY_LOAD * results.machine["cores"]:
        found.append("the machine was busy when the run began: do not trust the ratios")
    if results.settings["processes"] < 5:
        found.append("fewer than 5 processes: the medians are weak")
    if results.python["free_threaded"] and any(
        sample.gil for sample in results.samples
    ):
        found.append("an import switched the GIL on in this free-threaded interpreter")
    for sample in results.problems():
        reason = sample.error or sample.skipped
        kind = "failed" if sample.error else "skipped"
        found.append(f"{sample.scenario} with {sample.rival} {kind}: {reason}")
    return found


def full(results: Results) -> str:
    """Return everything that a run prints."""
    parts = [
        conditions(results),
        overview(results),
        backlog(results),
        extras(results),
    ]
    if "futures_c" in results.settings["rivals"]:
        parts.append(figures(results))
    parts += [f"note: {warning}" for warning in warnings(results)]
    return "\n\n".join(part for part in parts if part)


def comparison(first: Results, second: Results, names: tuple[str, str]) -> str:
    """Set two runs side by side: ours in both, and the standard as a control.

    Where the control differs as well, the machine differed, not the code.
    """
    rows = []
    for name, scenario in SCENARIOS.items():
        row = [name]
        for rival in ("futures_c", "standard"):
            before, after = first.summary(name, rival), second.summary(name, rival)
            row += [amount(before, scenario.unit), amount(after, scenario.unit)]
            row.append(_change(before, after))
        if any(row[1:]):
            rows.append(row)
    header = ["scenario"]
    for label in ("futures_c", "standard"):
        header += [f"{label}, {names[0]}", names[1], "change"]
    return table(header, rows)


def _change(before: Summary | None, after: Summary | None) -> str:
    if before is None or after is None or before.median <= 0:
        return ""
    text = f"{(after.median / before.median - 1) * 100:+.0f} %"
    overlap = before.low <= after.high and after.low <= before.high
    return f"({text})" if overlap else text
