"""What people import from ``concurrent.futures.process``.

The process pool is still the standard one, here under our name; every other
name, private ones included, is the standard object of the running version.
"""

from __future__ import annotations

from concurrent.futures import process as _standard
from concurrent.futures.process import (
    EXTRA_QUEUED_CALLS,
    BrokenProcessPool,
    ProcessPoolExecutor,
)

from futures_c._forward import forward

__getattr__, __dir__ = forward(globals(), _standard)
