"""Draw the demo's figures: bars, with the ratio written on them.

What is drawn is handed over by demo.py; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib

matplotlib.use("Agg")  # Into a file; no screen is needed.

from matplotlib import pyplot

GREY, BLUE, INK, FAINT = "#b8bec6", "#1f6feb", "#24292f", "#6a737d"
HEIGHT = 0.38  # of a bar, where the distance between two rows is 1


class Row(Protocol):
    """What is drawn of a row of the tables."""

    @property
    def name(self) -> str:
        """What was measured."""

    @property
    def standard(self) -> float:
        """The standard module's value."""

    @property
    def ours(self) -> float:
        """That of futures_c."""

    @property
    def unit(self) -> str:
        """What both are given in."""

    @property
    def ratio(self) -> float:
        """How many times better futures_c is."""

    @property
    def figures(self) -> tuple[str, str]:
        """Both values as text."""


def bars(axes: Any, rows: Sequence[Row]) -> None:
    """Draw two bars per row: the standard module above, futures_c below.

    The longer of the two is as long as that of every other row: rows have
    units of their own, and it is their ratios that can be compared.
    """
    for place, row in enumerate(rows):
        longest = max(row.standard, row.ours)
        above, below = place - HEIGHT / 2, place + HEIGHT / 2
        standard, ours = row.standard / longest, row.ours / longest
        axes.barh(above, standard, HEIGHT * 0.94, color=GREY)
        axes.barh(below, ours, HEIGHT * 0.94, color=BLUE)
        beside = {"textcoords": "offset points", "xytext": (6, 0), "va": "center"}
        small = {"color": FAINT, "fontsize": 9}
        axes.annotate(
            f"{row.figures[0]} {row.unit}", (standard, above), **beside, **small
        )
        ratio = axes.annotate(
            f"{row.ratio:.1f}x",
            (ours, below),
            color=BLUE,
            fontsize=12,
            fontweight="bold",
            **beside,
        )
        axes.annotate(
            f"   {row.figures[1]} {row.unit}",
            (1, 0.5),
            xycoords=ratio,
            va="center",
            **small,
        )
    axes.set_xlim(0, 1.45)  # Room for what stands beside the longest bar.
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # The first row on top.
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=INK)


# Where each table stands, and what it is called there. A column is for what
# can be compared: the left one for the cost of a task, the right one for whole
# programs.
LEFT = {
    "tasks": "Short tasks in threads: time or memory per task",
    "process_tasks": "Short tasks in processes: time per task",
}
RIGHT = {
    "crawl": "A whole crawl: mostly page work",
    "images": "A folder of images, in processes",
    "pipeline": "Threads download, processes convert",
}


def draw(heading: str, tables: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Write the picture of all tables, which are given by key, to *path*."""
    figure = pyplot.figure(figsize=(12, 10.4), dpi=130, layout="constrained")
    for part, titles in zip(figure.subfigures(1, 2), (LEFT, RIGHT), strict=True):
        # Numbers of things are the same and need no bars.
        shown = [[row for row in tables[key] if row.unit] for key in titles]
        heights = [len(rows) for rows in shown]
        places = part.subplots(len(shown), 1, height_ratios=heights)
        for axes, title, rows in zip(places, titles.values(), shown, strict=True):
            bars(axes, rows)
            axes.set_title(title, color=INK, loc="left")
    figure.suptitle(heading, fontsize=9, color=FAINT)
    figure.legend(
        handles=[pyplot.Rectangle((0, 0), 1, 1, color=c) for c in (GREY, BLUE)],
        labels=["concurrent.futures", "futures_c"],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.savefig(path, facecolor="white")
    pyplot.close(figure)
