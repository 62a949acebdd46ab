#!/usr/bin/env python3
"""Download and count words in two pools that callbacks connect.

    python callback_pipeline.py https://example.org/ https://example.com/

    addresses -> [pool: download] -> [pool: count] -> queue -> main thread

Nobody waits between the stages: when a download is done, its callback submits
the page to the next pool, and when the words are counted, that callback puts
the result into a queue. Each stage has the number of workers that suits it.

Three things to know about callbacks:

* they run in the thread that completed the future, so they should be quick;
* they get the finished future, and asking it for its result raises what the
  task raised: here a failure travels down the pipe like a result;
* an exception in the callback itself is only logged. So whatever a callback
  does to end a wait elsewhere has to happen on every path through it.
"""

from __future__ import annotations

import argparse
import collections
import functools
import importlib
import queue
import re
import sys
from typing import Any

import requests


def download(url: str) -> str:
    """First stage: return the text at an address."""
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    return response.text


def count_words(text: str) -> collections.Counter[str]:
    """Second stage: count the words outside of tags."""
    return collections.Counter(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", text)))


def main() -> int:
    """Run the pipeline and print the commonest words of each page."""
    parser = argparse.ArgumentParser(description="Count words of web pages.")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--module", default="futures_c", help="or concurrent.futures")
    options = parser.parse_args()
    futures = importlib.import_module(options.module)
    results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    with (
        futures.ThreadPoolExecutor(2, thread_name_prefix="count") as counters,
        futures.ThreadPoolExecutor(
            options.workers, thread_name_prefix="download"
        ) as downloaders,
    ):
        # The pools are closed from the last to the first: `counters` stays
        # open until no download is left that could submit to it.

        def counted(url: str, task: Any) -> None:
            results.put((url, task.exception() or task.result()))

        def downloaded(url: str, task: Any) -> None:
            error = task.exception()
            if error is not None:
                results.put((url, error))
                return
            following = counters.submit(count_words, task.result())
            following.add_done_callback(functools.partial(counted, url))

        for url in options.addresses:
            task = downloaders.submit(download, url)
            task.add_done_callback(functools.partial(downloaded, url))

        failed = 0
        for _ in options.addresses:
            url, outcome = results.get()
            if isinstance(outcome, Exception):
                failed += 1
                print(f"{url}: {type(outcome).__name__}")
            else:
                # Equal counts are put in the order of the alphabet.
                top = sorted(outcome, key=lambda word: (-outcome[word], word))[:5]
                common = ", ".join(f"{word} {outcome[word]}" for word in top)
                print(f"{url}: {sum(outcome.values())} words; {common}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
