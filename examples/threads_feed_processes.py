#!/usr/bin/env python3
"""Threads download, processes compute: each pool for what it is good at.

    python threads_feed_processes.py https://example.org/ https://example.com/

Waiting for the network costs a thread nothing, and a hundred of them can do
it at once. Computing in pure Python keeps one core busy per process, so that
part goes to a pool of processes. Each page is sent over as soon as it has
arrived; nothing waits for the whole list.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import sys
import zlib

import requests


def download(url: str) -> bytes:
    """Return what stands at an address; runs in a thread."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.content


def compress(body: bytes) -> tuple[int, int]:
    """Return the size of a page before and after compression.

    This runs in another process, which gets the bytes pickled and sends the
    result back the same way. Functions are sent by name, so it has to stand
    at the top of the module.
    """
    return len(body), len(zlib.compress(body, level=9))


def main() -> int:
    """Print how well each page can be compressed."""
    parser = argparse.ArgumentParser(description=compress.__doc__)
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    parser.add_argument("--workers", type=int, default=8, help="threads")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--module", default="futures_c", help="or concurrent.futures")
    options = parser.parse_args()
    futures = importlib.import_module(options.module)

    failed = 0
    with (
        # Forking a process that has threads copies whatever locks they hold.
        # Processes that are started afresh have none to inherit.
        futures.ProcessPoolExecutor(
            options.processes, mp_context=multiprocessing.get_context("spawn")
        ) as processes,
        futures.ThreadPoolExecutor(options.workers) as threads,
    ):
        downloads = {threads.submit(download, url): url for url in options.addresses}
        computations = {}
        for task in futures.as_completed(downloads):
            url = downloads[task]
            try:
                body = task.result()
            except requests.RequestException as error:
                failed += 1
                print(f"{url}: {type(error).__name__}")
            else:
                computations[processes.submit(compress, body)] = url
        for task in futures.as_completed(computations):
            before, after = task.result()
            print(f"{computations[task]}: {before:,} bytes, compressed {after:,}")
    return 1 if failed else 0


# Processes that are started afresh import this file. Without the guard each
# of them would run `main` as well.
if __name__ == "__main__":
    sys.exit(main())
