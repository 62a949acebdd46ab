"""The picture of a run: how many times better, and what a backlog costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import significant
from .results import Results, Summary
from .rivals import RIVALS
from .scenarios import SCENARIOS

COLOURS = {
    "futures_c": "#1b6ca8",
    "standard": "#6b7280",
    "threadpool": "#e0a458",
    "loop": "#b8c4ce",
}


def draw(results: Results, path: Path) -> None:
    """Draw the picture of `results` into the PNG file `path`.

    Raises ImportError where matplotlib is missing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    make = _processes if results.family.name == "processes" else _threads
    figure = make(results, pyplot)
    figure.suptitle(_title(results), fontsize=10, color="#374151")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _processes(results: Results, pyplot: Any) -> Any:
    from .plot_processes import figure_of

    return figure_of(results, pyplot)


def _threads(results: Results, pyplot: Any) -> Any:
    scenarios = _with_ratio(results)
    sizes = _sizes(results)
    height = max(3.4, 0.42 * len(scenarios) + 1.6)
    if sizes:
        figure, axes = pyplot.subplots(
            1,
            2,
            figsize=(13, max(height, 6)),
            width_ratios=(1.7, 1),
            layout="constrained",
        )
        _bars(axes[0], results, scenarios)
        _split(figure, axes[1], results, sizes)
    else:
        figure, axis = pyplot.subplots(figsize=(9, height), layout="constrained")
        _bars(axis, results, scenarios)
    return figure


def _title(results: Results) -> str:
    machine, python = results.machine, results.python
    kind = " free-threaded" if python["free_threaded"] else ""
    text = (
        f"Python {python['version']}{kind}, "
        f"{machine['cpu']}, {machine['cores']} cores, "
        f"processes per bar: {results.settings['processes']}"
    )
    return text + (
        " (quick run: figures mean nothing)" if results.settings["quick"] else ""
    )


def _compared(results: Results) -> list[str]:
    return [
        name
        for name in ("futures_c", "threadpool")
        if name in results.settings["rivals"]
    ]


def _with_ratio(results: Results) -> list[str]:
    """Return the scenarios in which something is compared with the standard."""
    return [
        name
        for name in results.settings["scenarios"]
        if any(results.ratio(name, rival) for rival in _compared(results))
    ]


def _bars(axis: Any, results: Results, scenarios: list[str]) -> None:
    """Draw a bar per rival and scenario, growing from 1x to either side."""
    rivals = _compared(results)
    thickness = 0.8 / max(1, len(rivals))
    least, most = 0.5, 2.0
    for number, rival in enumerate(rivals):
        for row, name in enumerate(scenarios):
            found = results.ratio(name, rival)
            if found is None:
                continue
            y = row + (number - (len(rivals) - 1) / 2) * thickness
            _bar(axis, y, thickness, found, rival)
            least, most = min(least, found.low), max(most, found.high)
        axis.barh(0, 0, color=COLOURS[rival], label=RIVALS[rival].label)
    axis.axvline(1, color=COLOURS["standard"], linewidth=1.2)
    axis.set_xscale("log")
    axis.set_xlim(least / 1.9, most * 2.2)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}x")
    axis.set_yticks(range(len(scenarios)), scenarios)
    axis.set_ylim(len(scenarios) - 0.4, -0.6)
    axis.set_title("Times better than concurrent.futures (log scale)", fontsize=11)
    axis.set_xlabel("ThreadPool.map hands out chunks, not items", fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.legend(loc="lower right", frameon=True, fontsize=9)


def _bar(axis: Any, y: float, thickness: float, found: Summary, rival: str) -> None:
    """Draw one bar with its range over processes and its ratio beside it."""
    axis.barh(
        y,
        found.median - 1,
        left=1,
        height=thickness * 0.92,
        color=COLOURS[rival],
        linewidth=0,
    )
    if found.count > 1:
        axis.plot([found.low, found.high], [y, y], color="#111827", linewidth=0.9)
    better = found.median >= 1
    axis.annotate(
        f"{significant(found.median)}x",
        (found.high if better else found.low, y),
        xytext=(4 if better else -4, 0),
        textcoords="offset points",
        ha="left" if better else "right",
        va="center",
        fontsize=8 if rival == "futures_c" else 7,
        fontweight="bold" if rival == "futures_c" else "normal",
        color="#111827" if rival == "futures_c" else "#6b7280",
    )


def _sizes(results: Results) -> list[str]:
    names = [n for n in results.settings["scenarios"] if n.startswith("pending-")]
    return names if len(names) > 1 else []


def _split(figure: Any, axis: Any, results: Results, sizes: list[str]) -> None:
    """Put the two line charts of the backlog where `axis` is."""
    place = axis.get_subplotspec()
    axis.remove()
    upper, lower = place.subgridspec(2, 1).subplots()
    _lines(upper, results, sizes, None, 1e-3, "Time per task, queued and drained (us)")
    large = [name for name in sizes if SCENARIOS[name].full["tasks"] >= 10**5]
    _lines(
        lower, results, large, "bytes_per_task", 1.0, "Memory per pending task (bytes)"
    )
    lower.set_xlabel("pending tasks")


def _lines(
    axis: Any,
    results: Results,
    sizes: list[str],
    extra: str | None,
    factor: float,
    title: str,
) -> None:
    """Draw one line per rival over the number of pending tasks."""
    from matplotlib.ticker import LogLocator, NullLocator

    for rival in ("standard", "threadpool", "futures_c"):
        points = [
            (SCENARIOS[name].full["tasks"], found.median * factor)
            for name in sizes
            if (found := results.summary(name, rival, extra))
        ]
        if not points:
            continue
        axis.plot(
            *zip(*points, strict=True), marker="o", markersize=4, color=COLOURS[rival]
        )
        axis.annotate(
            f"{RIVALS[rival].label} {significant(points[-1][1])}",
            points[-1],
            xytext=(0, 7),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=COLOURS[rival],
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axis.set_xscale("log")
    axis.margins(x=0.12, y=0.2)
    if extra:
        axis.set_ylim(bottom=0)
    else:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_title(title, fontsize=11)
    axis.grid(color="#e5e7eb", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
