#!/usr/bin/env python3
"""Download a list of addresses with ``as_completed``: each has its own fate.

    python download_as_completed.py https://example.org/ https://example.com/

Every address becomes a future. ``as_completed`` yields the futures as they
finish, so the fast ones are reported while the slow ones are still under way,
and asking a future for its result raises the error of that download alone.
The dictionary from future to address is the usual way to know which is which.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from hashlib import sha256

import requests


def download(url: str, timeout: float) -> bytes:
    """Return what stands at an address, or raise what went wrong."""
    response = requests.get(url, timeout=timeout)
    response.raise_for_status()
    return response.content


def main() -> int:
    """Download every address and print what came of each."""
    parser = argparse.ArgumentParser(description=download.__doc__)
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--module", default="futures_c", help="or concurrent.futures")
    options = parser.parse_args()
    futures = importlib.import_module(options.module)

    failed = 0
    with futures.ThreadPoolExecutor(options.workers) as executor:
        tasks = {
            executor.submit(download, url, options.timeout): url
            for url in options.addresses
        }
        for task in futures.as_completed(tasks):
            url = tasks[task]
            try:
                body = task.result()
            except requests.HTTPError as error:
                failed += 1
                assert error.response is not None  # raise_for_status()'s has one
                print(f"failed  HTTP {error.response.status_code}  {url}")
            except requests.RequestException as error:
                failed += 1
                print(f"failed  {type(error).__name__}  {url}")
            else:
                print(f"{len(body):>9,} bytes  {sha256(body).hexdigest()[:12]}  {url}")
    print(f"{len(tasks) - failed} downloaded, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
