#!/usr/bin/env python3
"""Download a list of addresses with ``map``: results in the order asked for.

    python download_map.py https://example.org/ https://example.com/

``executor.map(f, items)`` is the shortest way to do one thing to many items.
It starts all of them at once and hands out the results in the order of the
items, whichever is ready first. The price: the first item that fails raises
where its result is due, and the loop ends there. When one failure must not
hide the other results, see download_as_completed.py.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from hashlib import sha256

import requests


def download(url: str) -> bytes:
    """Return what stands at an address, or raise what went wrong."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.content


def main() -> int:
    """Download every address and print size and checksum of each."""
    parser = argparse.ArgumentParser(description=download.__doc__)
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--module", default="futures_c", help="or concurrent.futures")
    options = parser.parse_args()
    futures = importlib.import_module(options.module)

    with futures.ThreadPoolExecutor(options.workers) as executor:
        bodies = executor.map(download, options.addresses, timeout=60)
        try:
            for url, body in zip(options.addresses, bodies, strict=True):
                print(f"{len(body):>9,} bytes  {sha256(body).hexdigest()[:12]}  {url}")
        except (requests.RequestException, TimeoutError) as error:
            # Leaving the loop cancels the downloads that have not begun.
            print(f"stopped: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
