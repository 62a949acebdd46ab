"""`python -m load [--scale X] [CASE...]`, with tests on the path: full sizes."""

from __future__ import annotations

import argparse
import faulthandler
import time

from load.cases import CASES, HANG


def main() -> None:
    """Run the cases that are named, or all, and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m load")
    parser.add_argument("--scale", type=float, default=1.0, help="1: the full size")
    parser.add_argument("case", nargs="*", choices=[[], *CASES])
    options = parser.parse_args()
    for name in options.case or CASES:
        faulthandler.dump_traceback_later(HANG, exit=True)
        began = time.perf_counter()
        line = CASES[name](options.scale)
        faulthandler.cancel_dump_traceback_later()
        print(f"{name}: {line} ({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
