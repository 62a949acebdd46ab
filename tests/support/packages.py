"""Building the package in a copy of the checkout, and running what that takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_checkout(to: Path) -> Path:
    """Copy the sources, without what was built in them."""
    ignored = shutil.ignore_patterns(
        ".git",
        ".venv",
        "build",
        "dist",
        "*.egg-info",
        "*.so",
        "*.o",
        "__pycache__",
        ".*_cache",
    )
    shutil.copytree(ROOT, to, ignore=ignored)
    return to


def run(
    *command: str | Path, cwd: Path, cap: float = 300, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command and return it, however it ended."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=cap,
    )


def unpack(archive: Path, to: Path) -> Path:
    """Unpack a source distribution; return the one folder that is in it."""
    with tarfile.open(archive) as tar:
        # Early versions of 3.11 have no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(to)
    (unpacked,) = to.iterdir()
    return unpacked
