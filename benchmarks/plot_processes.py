"""The picture of a run of process pools: ratios, and bytes per second."""

from __future__ import annotations

from typing import Any

from .report import significant
from .results import Results
from .scenarios import SCENARIOS

COLOURS = {
    "futures_c": "#1b6ca8",
    "standard": "#4b5563",
    "pool": "#e0a458",
    "loky": "#4f9d69",
    "joblib": "#9bc53d",
    "pebble": "#c8553d",
    "mpire": "#9d79bc",
}
MARKS = {"pool": "o", "loky": "s", "joblib": "P", "pebble": "^", "mpire": "D"}
PREFIX = "proc-"


def figure_of(results: Results, pyplot: Any) -> Any:
    """Return the figure: bars on the left, payloads on the right if there are any."""
    rows = [
        name
        for name in results.settings["scenarios"]
        if any(results.ratio(name, rival) for rival in ("futures_c", *MARKS))
    ]
    payloads = {
        title: names
        for kind, title in (("bytes", "bytes"), ("array", "numpy arrays"))
        if len(names := _sizes(results, kind)) > 1
    }
    height = max(3.4, 0.34 * len(rows) + 1.8)
    if not payloads:
        figure, axis = pyplot.subplots(figsize=(9, height), layout="constrained")
        _bars(axis, results, rows)
        return figure
    figure, axes = pyplot.subplots(
        1,
        2,
        figsize=(14, max(height, 6)),
        width_ratios=(1.6, 1),
        layout="constrained",
    )
    _bars(axes[0], results, rows)
    place = axes[1].get_subplotspec()
    axes[1].remove()
    parts = place.subgridspec(len(payloads), 1).subplots(squeeze=False, sharey=True)
    for part, (title, names) in zip(parts.flat, payloads.items(), strict=True):
        _throughput(part, results, title, names)
    return figure


def _bars(axis: Any, results: Results, rows: list[str]) -> None:
    """Draw a bar for ours and a mark for each other rival, from 1x to either side."""
    least, most = 0.5, 2.0
    for y, name in enumerate(rows):
        found = results.ratio(name)
        if found is not None:
            axis.barh(y, found.median - 1, left=1, height=0.7, color="#a9cbe3")
            axis.plot(found.median, y, "|", color=COLOURS["futures_c"], markersize=13)
            axis.plot([found.low, found.high], [y, y], color="#111827", linewidth=0.9)
            least, most = min(least, found.low), max(most, found.high)
        for rival, mark in MARKS.items():
            other = results.ratio(name, rival)
            if other is not None:
                axis.plot(
                    other.median, y, mark, color=COLOURS[rival], markersize=4.5, mew=0
                )
                least, most = min(least, other.median), max(most, other.median)
    for y, name in enumerate(rows):
        found = results.ratio(name)
        if found is not None:
            axis.annotate(
                f"{significant(found.median)}x",
                (1.01, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
                fontweight="bold",
                annotation_clip=False,
            )
    axis.barh(0, 0, color="#a9cbe3", label=results.family.label("futures_c"))
    for rival, mark in MARKS.items():
        if any(results.ratio(name, rival) for name in rows):
            label = results.family.label(rival)
            axis.plot([], [], mark, color=COLOURS[rival], mew=0, label=label)
    axis.axvline(1, color=COLOURS["standard"], linewidth=1.2)
    axis.set_xscale("log")
    axis.set_xlim(least / 1.5, most * 1.5)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}x")
    axis.set_yticks(range(len(rows)), [name.removeprefix(PREFIX) for name in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_title("Times better than concurrent.futures (log scale)", fontsize=11)
    axis.tick_params(axis="y", length=0, labelsize=9)
    axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    # Lines go before bars there, and ours is the bar.
    *others, ours = zip(*axis.get_legend_handles_labels(), strict=True)
    handles, labels = zip(ours, *others, strict=True)
    axis.legend(handles, labels, loc="lower right", frameon=True, fontsize=9)


def _sizes(results: Results, kind: str) -> list[str]:
    return [
        name
        for name in results.settings["scenarios"]
        if name.startswith(f"{PREFIX}{kind}-")
        and any(results.summary(name, rival) for rival in COLOURS)
    ]


def _throughput(axis: Any, results: Results, title: str, names: list[str]) -> None:
    """Draw one line per rival: bytes per second over the size."""
    from matplotlib.ticker import LogLocator, NullLocator

    for rival, colour in COLOURS.items():
        points = [
            (size, 2 * size / (found.median * 1e-9) / 1e6)
            for name in names
            if (found := results.summary(name, rival))
            # A quick run sends less than the scenario's name says.
            and (size := SCENARIOS[name].full["size"])
        ]
        if points:
            ours = rival == "futures_c"
            axis.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=4 if ours else 3,
                linewidth=2.2 if ours else 1.1,
                zorder=3 if ours else 2,
                color=colour,
                label=results.family.label(rival),
            )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(LogLocator())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(lambda x, _: _size(x))
    axis.yaxis.set_major_formatter(lambda y, _: f"{y:,g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_title(f"MB per second, {title} there and back", fontsize=11)
    axis.set_xlabel("size of the payload", fontsize=8)
    axis.grid(color="#e5e7eb", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower right", frameon=True, fontsize=8, ncols=2)


def _size(value: float) -> str:
    for divisor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= divisor:
            return f"{value / divisor:g} {unit}"
    return f"{value:g} B"
