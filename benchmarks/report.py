"""Tables of a run, as Markdown that also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import FIGURES
from .results import Results, Sample, Summary
from .rivals import RIVALS
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
    text = f"{middle}{name}" if name == "x" else f"{middle} {name}"
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
    return [name for name in RIVALS if name in results.settings["rivals"]]


def _scenarios(results: Results) -> list[Scenario]:
    return [
        SCENARIOS[name] for name in results.settings["scenarios"] if name in SCENARIOS
    ]


def overview(results: Results) -> str:
    """Return the table of all scenarios."""
    rivals = _rivals(results)
    compare = {"futures_c", "standard"} <= set(rivals)
    header = ["scenario", "per", *(RIVALS[name].label for name in rivals)]
    if compare:
        header.append("against standard")
    rows = []
    for scenario in _scenarios(results):
        row = [scenario.name, scenario.per]
        for name in rivals:
            found = results.summary(scenario.name, name)
            text = amount(found, scenario.unit)
            row.append(text or problem(results.problem(scenario.name, name)))
        if compare:
            row.append(amount(results.ratio(scenario.name), "x"))
        rows.append(row)
    return table(header, rows)


def backlog(results: Results) -> str:
    """Return the memory that each backlog added, per task and rival."""
    rivals = [name for name in _rivals(results) if name != "loop"]
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
        ["memory per pending task", *(RIVALS[name].label for name in rivals)], rows
    )


def figures(results: Results) -> str:
    """Return the figures to reach with what the run measured."""
    quick = results.settings["quick"]
    rows = []
    for figure in FIGURES:
        if figure.scenario not in results.settings["scenarios"]:
            continue
        bound = "at most " if figure.ceiling else ""
        suffix = "x" if figure.unit == "x" else f" {scale(1, figure.unit)[1]}"
        found = figure.value(results)
        rows.append(
            [
                figure.title,
                f"{bound}{figure.at_least:g}{suffix}"
                + (" always" if figure.always else ""),
                f"{figure.aim:g}{suffix}",
                amount(found, figure.unit) or "not measured",
                figure.verdict(found) if found and not quick else "",
            ]
        )
    if not rows:
        return ""
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
    parts = [conditions(results), overview(results), backlog(results)]
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
