"""What the larger examples share as commands: arguments, progress, figures.

Nothing here has to do with pools. `crawler.py`, `images.py` and
`image_pipeline.py` read their command lines with the argument types, show
with `Progress` how far they are, and tell `peak_memory` when they are done.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import threading
from pathlib import Path

try:
    from tqdm import tqdm
except ImportError:  # The progress bar is a comfort, not a need.
    tqdm = None


class Progress:
    """A progress bar on a terminal, and the lines that are printed above it.

    Where standard error is no terminal, or tqdm is not installed, there is no
    bar, and the lines are printed all the same.
    """

    def __init__(self, unit: str, total: int | None = None) -> None:
        """Begin to count things called *unit*, of *total* if that is known."""
        self.bar = None
        if tqdm:
            # Unless told otherwise, tqdm makes a lock between processes.
            tqdm.set_lock(threading.RLock())
            # disable=None means: show nothing unless stderr is a terminal.
            self.bar = tqdm(unit=f" {unit}", total=total, disable=None)

    def advance(self, errors: int, total: int | None = None) -> None:
        """Count one more thing done; *errors* is their number so far."""
        if self.bar is not None and not self.bar.disable:
            if total is not None:
                self.bar.total = total
            self.bar.set_postfix(errors=errors, refresh=False)
            self.bar.update()

    def say(self, text: str) -> None:
        """Print a line for people without breaking the progress bar."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is and begin a new line."""
        if self.bar is not None:
            self.bar.close()


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    # The figure of getrusage would do, if Linux did not let it begin with
    # that of the process that started this one.
    with contextlib.suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def positive(text: str) -> int:
    """Argument type: a whole number above zero."""
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def seconds(text: str) -> float:
    """Argument type: seconds."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return number
