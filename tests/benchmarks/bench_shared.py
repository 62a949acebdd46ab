"""What the tests of the benchmarks share: the command line, and made-up results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# At the end, so that an installed futures_c goes before the sources here.
sys.path.append(str(ROOT))

from benchmarks.results import Results, Sample  # noqa: E402


def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks' command line."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )


def made_up(
    scenario: str = "bulk-1", family: str = "threads", **values: list[float]
) -> Results:
    """Return results of one scenario in which each rival has these values."""
    samples = [
        Sample(scenario, rival, number, value)
        for rival, given in values.items()
        for number, value in enumerate(given)
    ]
    return Results(
        machine={
            "cpu": "a processor",
            "cores": 2,
            "memory_gb": 8,
            "system": "a system",
            "libc": "a libc",
            "load_average": [0.0],
            "load_average_after": [0.0],
            "commit": "a commit",
        },
        python={
            "implementation": "CPython",
            "version": "3.x",
            "build": "a build",
            "compiler": "a compiler",
            "debug": False,
            "free_threaded": False,
        },
        futures_c="1",
        settings={
            "started": "now",
            "seconds": 1,
            "processes": 5,
            "quick": False,
            "rivals": list(values),
            "family": family,
            "scenarios": [scenario],
        },
        samples=samples,
    )
