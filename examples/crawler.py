#!/usr/bin/env python3
"""Crawl a web site with a pool of threads.

    python crawler.py https://example.org/ --workers 16 --output pages.jsonl

The crawler starts at the addresses it is given and follows every link that
stays on their sites. For each page it writes one line of JSON: the address,
where redirects led, status, type, size, a checksum, the title, and what went
wrong, if anything did. Pages that fail do not stop it, and Ctrl-C ends it
with everything found so far written out.

It is an ordinary program over ``requests`` and a thread pool, and it does not
know which module the pool comes from: ``--module`` names ``futures_c`` or
``concurrent.futures``, and everything else stays the same.

How to read it: `Crawler.pages` is the heart. It uses the pool in two ways:

* the start addresses are all submitted at once and handled in the order in
  which they finish, with ``as_completed``, because nothing else can be
  decided before all of them have answered;
* after that each page brings new links, so the loop sleeps in
  ``wait(..., return_when=FIRST_COMPLETED)``, takes what is finished, and
  fills the pool up again.

The work on one page is `Crawler.visit`; it runs in the pool's threads. How
addresses and HTML are read stands in ``webpage.py`` beside this file, argument
types and the progress bar in ``commands.py``. Everything else, the set of known
addresses included, is touched by the main thread alone and so needs no lock.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from email.message import Message
from itertools import islice
from types import ModuleType
from typing import IO, Any
from urllib.parse import urljoin
from urllib.robotparser import RobotFileParser

import requests
from commands import Progress, peak_memory, positive, seconds
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError
from webpage import HTML_TYPES, decode, normalize, parse_page, site_of

# Answers and failures that may be different a moment later.
RETRY_STATUS = {429, 500, 502, 503, 504}
TIMEOUTS = (requests.Timeout, ReadTimeoutError)
RETRY_ERRORS = (*TIMEOUTS, requests.ConnectionError, ProtocolError)
USER_AGENT = "futures_c-example-crawler/1.0"
MAX_PAUSE = 30.0  # seconds: no Retry-After keeps a worker longer than this
MAX_REDIRECTS = 10
# Tasks handed to the pool per worker. More than one, so that no worker waits
# for the main thread; not all of them, so that Ctrl-C has little to cancel.
QUEUED_PER_WORKER = 4


@dataclasses.dataclass
class Page:
    """One address and what came of it."""

    url: str
    source: str | None = None  # the page that linked here
    final: str = ""  # where redirects led
    status: int | None = None
    type: str = ""
    bytes: int = 0
    sha256: str = ""
    title: str = ""
    attempts: int = 0
    seconds: float = 0.0
    cpu: float = 0.0  # CPU seconds of the thread that did the work
    error: str | None = None
    links: list[str] = dataclasses.field(default_factory=list)
    pause: float = 0.0  # seconds the server wants us to wait (Retry-After)

    def as_json(self) -> str:
        """Return the page as one line of JSON."""
        record = dataclasses.asdict(self)
        record["links"] = len(self.links)
        del record["pause"]
        return json.dumps(record, ensure_ascii=False)


class Crawler:
    """Visits every page that can be reached from the start addresses."""

    def __init__(
        self,
        futures: ModuleType,
        *,
        workers: int = 16,
        max_pages: int = 1000,
        timeout: float = 10.0,
        retries: int = 2,
        backoff: float = 0.5,
        delay: float = 0.0,
        max_bytes: int = 10_000_000,
        robots: bool = True,
        user_agent: str = USER_AGENT,
    ) -> None:
        """Prepare a crawl with the pool of the module *futures*.

        All times are in seconds; *retries* are attempts beyond the first, and
        *backoff* is the pause before the first of them.
        """
        self.futures = futures
        self.workers = workers
        self.max_pages = max_pages
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self.delay = delay
        self.max_bytes = max_bytes
        self.use_robots = robots
        self.user_agent = user_agent

        self.seen: set[str] = set()
        self.frontier: deque[Page] = deque()
        self.known = self.started = 0  # pages that are ours, and submitted
        self.disallowed = 0
        self.sites: set[tuple[str, int | None]] = set()
        self.robots: dict[tuple[str, int | None], RobotFileParser] = {}
        # Set when the crawl ends: nobody goes on waiting or reading then.
        self.stop = threading.Event()
        self._turn_lock = threading.Lock()
        self._next_turn: dict[tuple[str, int | None], float] = {}
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    # The main thread.

    def pages(self, starts: list[str]) -> Generator[Page, None, None]:
        """Crawl, and yield each page as soon as it is done.

        Closing the iterator, or Ctrl-C while it waits, ends the crawl: what
        has not begun is cancelled, and what is under way is left to itself.
        """
        pool = self.futures.ThreadPoolExecutor(
            self.workers, thread_name_prefix="crawler"
        )
        complete = False
        try:
            yield from self._open_sites(pool, starts)
            yield from self._follow_links(pool)
            complete = True
        finally:
            self.stop.set()
            pool.shutdown(wait=complete, cancel_futures=True)
            if complete:
                for session in self._sessions:
                    session.close()

    def _open_sites(self, pool: Any, starts: list[str]) -> Iterator[Page]:
        """Visit the start addresses; they say which sites are ours."""
        self.seen.update(starts)
        tasks = [
            pool.submit(self._timed, self.open_site, Page(url))
            for url in islice(dict.fromkeys(starts), self.max_pages)
        ]
        self.known = self.started = len(tasks)
        opened = []
        for task in self.futures.as_completed(tasks):
            page = task.result()
            # http://example.org may lead to https://www.example.org: that is
            # the site which was meant.
            self.sites.add(site_of(page.url))
            self.sites.add(site_of(page.final or page.url))
            opened.append(page)
            yield page
        for page in opened:
            self._note_links(page)

    def _follow_links(self, pool: Any) -> Iterator[Page]:
        """Visit what is in the frontier until nothing new turns up."""
        pending: set[Any] = set()
        while True:
            while (
                self.frontier
                and self.started < self.max_pages
                and len(pending) < QUEUED_PER_WORKER * self.workers
            ):
                page = self.frontier.popleft()
                pending.add(pool.submit(self._timed, self.visit, page))
                self.started += 1
            if not pending:
                return
            done, pending = self.futures.wait(
                pending, return_when=self.futures.FIRST_COMPLETED
            )
            for task in done:
                page = task.result()
                self._note_links(page)
                yield page

    def _note_links(self, page: Page) -> None:
        """Put the links of a page that are new and ours into the frontier."""
        if page.final and site_of(page.final) not in self.sites:
            return
        for link in page.links:
            if link in self.seen:
                continue
            self.seen.add(link)
            if site_of(link) not in self.sites:
                continue
            if self._allowed(link):
                self.frontier.append(Page(link, source=page.url))
                self.known += 1
            else:
                self.disallowed += 1

    # The threads of the pool.

    def _timed(self, job: Callable[[Page], None], page: Page) -> Page:
        """Do one job on a page and note what it took."""
        started, cpu = time.perf_counter(), time.thread_time()
        try:
            job(page)
        except Exception as error:  # One odd page must not end the crawl.
            page.error = f"unexpected {type(error).__name__}: {error}"
        page.seconds = round(time.perf_counter() - started, 6)
        page.cpu = round(time.thread_time() - cpu, 6)
        return page

    def open_site(self, page: Page) -> None:
        """Visit a start address, after asking its robots.txt."""
        self._load_robots(page.url)
        if not self._allowed(page.url):
            page.error = "disallowed by robots.txt"
            return
        self.visit(page)
        if page.final:
            self._load_robots(page.final)

    def visit(self, page: Page) -> None:
        """Fetch a page, again if need be, and fill in what is found."""
        for attempt in range(self.retries + 1):
            if attempt:
                # Twice as long each time, and at least what was asked for.
                pause = max(self.backoff * 2 ** (attempt - 1), page.pause)
                if self.stop.wait(min(pause, MAX_PAUSE)):
                    return
            self._wait_for_turn(page.url)
            page.attempts += 1
            try:
                again = self._fetch(page)
            except (requests.RequestException, HTTPError, ValueError) as error:
                page.error = describe(error)
                again = isinstance(error, RETRY_ERRORS)
            if not again:
                return

    def _fetch(self, page: Page) -> bool:
        """Make one request; return whether it is worth repeating."""
        deadline = time.monotonic() + self.timeout
        with self._session().get(
            page.url, timeout=self.timeout, stream=True
        ) as response:
            header = Message()
            header["content-type"] = response.headers.get("content-type", "text/html")
            page.final = normalize(response.url) or response.url
            page.status = response.status_code
            page.type = header.get_content_type()
            page.error = None
            if not response.ok:
                page.error = f"HTTP {response.status_code} {response.reason}"
                after = response.headers.get("retry-after", "")
                page.pause = float(after) if after.isdecimal() else 0.0
                return response.status_code in RETRY_STATUS
            if page.type not in HTML_TYPES:
                # Closing the response unread leaves the film on the server.
                length = response.headers.get("content-length", "")
                page.bytes = int(length) if length.isdecimal() else 0
                return False
            body = self._read(response, deadline)
            page.bytes = len(body)
            page.sha256 = hashlib.sha256(body).hexdigest()
            text = decode(body, header.get_content_charset())
            page.title, page.links = parse_page(text, page.final)
            return False

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Return the body, within the limits of size and time."""
        # The timeout of `requests` is for each single read. A server that
        # sends a little now and then would keep us for ever, so take what
        # there is (read1) and look at the clock.
        body = bytearray()
        while chunk := response.raw.read1(65536, decode_content=True):
            body += chunk
            if len(body) > self.max_bytes:
                raise ValueError(f"more than {self.max_bytes} bytes")
            if self.stop.is_set():
                raise ValueError("interrupted")
            if time.monotonic() > deadline:
                raise requests.Timeout
        return bytes(body)

    def _session(self) -> requests.Session:
        """Return this thread's session; sessions are not for sharing."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = self.user_agent
            session.max_redirects = MAX_REDIRECTS
            self._sessions.append(session)
        return session

    # Good manners.

    def _load_robots(self, url: str) -> None:
        """Read the rules of a site, unless they are known."""
        site = site_of(url)
        if not self.use_robots or site in self.robots:
            return
        rules = RobotFileParser()
        try:
            response = self._session().get(
                urljoin(url, "/robots.txt"), timeout=self.timeout
            )
        except (requests.RequestException, HTTPError, ValueError):
            rules.parse([])  # The page itself will fail too, and say why.
        else:
            if response.ok:
                rules.parse(decode(response.content, "utf-8").splitlines())
            elif response.status_code < 500:
                rules.parse([])  # No such file, no rules.
            else:  # RFC 9309: a server in trouble is left alone.
                rules.parse(["User-agent: *", "Disallow: /"])
        self.robots[site] = rules

    def _allowed(self, url: str) -> bool:
        rules = self.robots.get(site_of(url))
        return rules is None or rules.can_fetch(self.user_agent, url)

    def _wait_for_turn(self, url: str) -> None:
        """Keep the delay between two requests to one site."""
        site = site_of(url)
        rules = self.robots.get(site)
        asked = rules.crawl_delay(self.user_agent) if rules else None
        delay = max(self.delay, float(asked or 0))
        if not delay:
            return
        with self._turn_lock:
            now = time.monotonic()
            turn = max(now, self._next_turn.get(site, 0.0))
            self._next_turn[site] = turn + delay
        self.stop.wait(turn - now)


def describe(error: Exception) -> str:
    """Say in a few words what went wrong with a request."""
    if isinstance(error, TIMEOUTS):
        return "timed out"
    if isinstance(error, requests.TooManyRedirects):
        return f"more than {MAX_REDIRECTS} redirects"
    # The libraries wrap errors into one another; the innermost is the cause.
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return f"{type(cause).__name__}: {cause}"


class Report:
    """Writes results, progress and errors while the crawl is going on."""

    def __init__(self, crawler: Crawler, output: IO[str]) -> None:
        """Write the pages that *crawler* finds to *output*."""
        self.crawler = crawler
        self.output = output
        self.started = time.perf_counter()
        self.cpu = time.process_time()
        self.pages = self.errors = self.bytes = 0
        self.page_cpu = 0.0
        self.progress = Progress("pages")

    def add(self, page: Page) -> None:
        """Write one page; the line is on its way before this returns."""
        self.output.write(page.as_json() + "\n")
        self.output.flush()
        self.pages += 1
        self.bytes += page.bytes
        self.page_cpu += page.cpu
        if page.error:
            self.errors += 1
            origin = f" (linked from {page.source})" if page.source else ""
            self.progress.say(f"{page.url}: {page.error}{origin}")
        known = min(self.crawler.known, self.crawler.max_pages)
        self.progress.advance(self.errors, known)

    def close(self, interrupted: bool) -> dict[str, Any]:
        """End the progress bar, print the summary and return its figures."""
        self.progress.close()
        seconds = time.perf_counter() - self.started
        cpu = time.process_time() - self.cpu
        figures = {
            "module": self.crawler.futures.__name__,
            "workers": self.crawler.workers,
            "pages": self.pages,
            "errors": self.errors,
            "disallowed": self.crawler.disallowed,
            "bytes": self.bytes,
            "seconds": seconds,
            "cpu": cpu,
            # What the pool, the queue of links and this report cost, as
            # opposed to fetching and reading pages.
            "cpu_outside_pages": max(0.0, cpu - self.page_cpu),
            "peak_memory": peak_memory(),
            "interrupted": interrupted,
        }
        verb = "Interrupted after" if interrupted else "Crawled"
        print(
            f"{verb} {self.pages} pages, {self.bytes:,} bytes,"
            f" {self.errors} errors in {seconds:.2f} s"
            f" ({self.pages / seconds:.1f} pages/s)",
            file=sys.stderr,
        )
        return figures


def start_address(text: str) -> str:
    """Argument type: an address; ``https://`` may be left out."""
    url = normalize(text if "://" in text else f"https://{text}")
    if url is None:
        raise argparse.ArgumentTypeError(f"{text} is not a web address")
    return url


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Crawl web sites and write one line of JSON per page.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("addresses", nargs="+", type=start_address, metavar="ADDRESS")
    add("--module", default="futures_c", help="or concurrent.futures")
    add("--workers", type=positive, default=16, help="threads")
    add("--max-pages", type=positive, default=1000, help="visit no more")
    add("--timeout", type=seconds, default=10.0, help="seconds per request")
    add("--retries", type=int, default=2, help="further attempts per page")
    add("--backoff", type=seconds, default=0.5, help="seconds before them")
    add("--delay", type=seconds, default=0.0, help="seconds between requests")
    add("--max-bytes", type=positive, default=10_000_000, help="largest page")
    add("--ignore-robots", action="store_true", help="no robots.txt")
    add("--user-agent", default=USER_AGENT, help="what to call ourselves")
    add("--output", default="-", help="file for the JSON lines, - for stdout")
    add("--stats", help="file for the figures of the run, as JSON")
    options = parser.parse_args(argv)
    try:
        options.futures = importlib.import_module(options.module)
    except ImportError as error:
        parser.error(f"--module: {error}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = arguments(argv)
    crawler = Crawler(
        options.futures,
        workers=options.workers,
        max_pages=options.max_pages,
        timeout=options.timeout,
        retries=max(0, options.retries),
        backoff=options.backoff,
        delay=options.delay,
        max_bytes=options.max_bytes,
        robots=not options.ignore_robots,
        user_agent=options.user_agent,
    )
    with contextlib.ExitStack() as stack:
        output = sys.stdout
        if options.output != "-":
            output = stack.enter_context(open(options.output, "w", encoding="utf-8"))
        report = Report(crawler, output)
        interrupted = False
        try:
            with contextlib.closing(crawler.pages(options.addresses)) as pages:
                for page in pages:
                    report.add(page)
        except KeyboardInterrupt:
            # A second Ctrl-C, should anybody be that impatient, just kills.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            interrupted = True
        figures = report.close(interrupted)
        if options.stats:
            with open(options.stats, "w", encoding="utf-8") as file:
                json.dump(figures, file)
    if interrupted:
        return 128 + signal.SIGINT
    return 0 if report.pages > report.errors else 1


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:  # So early that there is nothing to report.
        status = 128 + signal.SIGINT
    except BrokenPipeError:  # The reader of our output went away: so do we.
        status = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if status:
        # Some thread may still sit in a request; everything is written, so
        # there is nothing to wait for.
        sys.stderr.flush()
        os._exit(status)
