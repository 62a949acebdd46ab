#!/usr/bin/env python3
"""Threads download images, processes shrink them, the parent writes them.

    python image_pipeline.py https://example.org/gallery/ --output small

Reads one page of a site and takes every image that it links to. Waiting for
the network is for threads; decoding and shrinking is for processes, one per
core. The two pools are connected by the loops of `run`: the downloads are
handled in the order in which they arrive, and each is sent on at once, so that
the processes work while the threads still wait for the rest; then the small
images are written in the order in which they are done. An error, be it of the
network or in a file, is that image's own. Nothing else is needed to connect
the two: pools of threads and of processes have the same futures.

``--module`` names the module of both pools, ``futures_c`` or
``concurrent.futures``. What is done to an image stands in ``images.py``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from pathlib import PurePosixPath
from types import ModuleType
from urllib.parse import unquote, urlsplit

import requests
from commands import positive, seconds
from images import (
    SUFFIXES,
    Done,
    Report,
    add_common_options,
    done,
    finish,
    read_options,
    shrink,
    start_processes,
    write_whole,
)
from webpage import parse_page


def file_name(address: str) -> str:
    """Return the name of the file at an address."""
    return PurePosixPath(unquote(urlsplit(address).path)).name


def find_images(address: str, timeout: float) -> dict[str, str]:
    """Return the images that a page links to: their addresses by name."""
    response = requests.get(address, timeout=timeout)
    response.raise_for_status()
    _, links = parse_page(response.text, response.url)
    found: dict[str, str] = {}
    for link in links:
        name = file_name(link)
        if PurePosixPath(name).suffix.lower() in SUFFIXES:
            while name in found:  # Two folders may have an image of one name.
                name = f"{len(found)}-{name}"
            found[name] = link
    return found


def download(address: str, timeout: float) -> bytes:
    """Return what stands at an address; runs in a thread."""
    response = requests.get(address, timeout=timeout)
    response.raise_for_status()
    return response.content


def convert(data: bytes) -> tuple[bytes, Done]:
    """Return an image shrunk, and what it took; runs in a process.

    Unlike in ``images.py`` the image itself travels, there and back.
    """
    began = time.process_time()
    small = shrink(data)
    return small, done(data, small, began)


def run(
    futures: ModuleType,
    addresses: dict[str, str],
    options: argparse.Namespace,
    report: Report,
) -> None:
    """Download, shrink and write the images, and report on each."""
    context = multiprocessing.get_context(options.start_method)
    with (
        futures.ProcessPoolExecutor(options.workers, context) as processes,
        futures.ThreadPoolExecutor(options.threads) as threads,
    ):
        try:
            # Before there are threads: forking a process that has some copies
            # whatever locks they hold.
            start_processes(processes, options.workers)
            downloads = {
                threads.submit(download, address, options.timeout): name
                for name, address in addresses.items()
            }
            report.begin(len(downloads))
            conversions = {}
            for task in futures.as_completed(downloads):
                name = downloads.pop(task)
                try:
                    data = task.result()
                except requests.RequestException as error:
                    report.fail(name, error)
                else:
                    conversions[processes.submit(convert, data)] = name
            for task in futures.as_completed(conversions):
                name = conversions.pop(task)
                try:
                    small, result = task.result()
                    write_whole(options.output / name, small)
                except futures.BrokenExecutor:
                    raise  # That is not about this image.
                except Exception as error:  # A bad one must not end the run.
                    report.fail(name, error)
                else:
                    report.add(result)
        except (KeyboardInterrupt, futures.BrokenExecutor) as error:
            # What has begun is finished, the rest is dropped.
            threads.shutdown(cancel_futures=True)
            processes.shutdown(cancel_futures=True)
            report.end(error)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description="Download the images of a page, grey and half as large."
    )
    parser.add_argument("address", metavar="ADDRESS", help="of a page with links")
    parser.add_argument("--threads", type=positive, default=8)
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, help="seconds per request"
    )
    add_common_options(parser)
    options = read_options(parser)
    report = Report(options.futures, options.workers)
    try:
        addresses = find_images(options.address, options.timeout)
    except requests.RequestException as error:
        print(f"{options.address}: {error}", file=sys.stderr)
        return 1
    if not addresses:
        print(f"There are no images on {options.address}.", file=sys.stderr)
        return 1
    run(options.futures, addresses, options, report)
    return finish(report, options.stats)


# Processes that are started afresh import this file. Without the guard each
# of them would run `main` as well.
if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:  # So early that there is nothing to report.
        status = 128 + signal.SIGINT
    sys.exit(status)
