"""Measures a Python process that tools/coverage has started, or its children.

A line in site-packages imports it in every interpreter of the environment;
``futures_c_measured`` is its name there.
"""

from __future__ import annotations

import os


def main_interpreter() -> bool:
    """Whether this is no subinterpreter: coverage.py cannot be loaded in those."""
    try:
        import _interpreters  # type: ignore[import-not-found]
    except ImportError:
        return True  # before 3.13: nobody asks for another one
    return bool(_interpreters.get_current()[0] == _interpreters.get_main()[0])


if "COVERAGE_PROCESS_START" in os.environ and main_interpreter():
    import coverage

    coverage.process_startup()
