"""A small web site with everything that can go wrong on a real one.

Run as a process of its own, it prints the port it listens on and serves on
the loopback address until it is ended. Started afresh for each test, it needs
no reset: pages that fail at first count their requests.

``/log`` answers with the paths that were asked for, one per line.

Given a folder, it serves what is below it under ``/files/``, and under
``/gallery.html`` a page that links to all of that, to what is no image, and to
images that nobody can get.
"""

from __future__ import annotations

import collections
import gzip
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

Answer = tuple[int, dict[str, str], bytes]
HTML = {"Content-Type": "text/html; charset=utf-8"}

# Seconds that the slow page lets its visitors wait: longer than any timeout
# that the tests give it.
SLOW = 8.0

# Sites within the site: pages that link to two further ones, up to so many.
TREES = {"endless": float("inf"), "tree": 300}

ROBOTS = """\
User-agent: *
Disallow: /private/
"""

# Every kind of link and every kind of trouble, from one page. {port} becomes
# the port; the name localhost is another site than the address 127.0.0.1.
START = """\
<!doctype html>
<title>Start &ndash; Ünïcode
  and white space</title>
<a href="/plain.html#part">plain</a>
<a href="plain.html">the same, relative</a>
<a href="HTTP://127.0.0.1:{port}/other/../plain.html">the same, in full</a>
<a href="deep/relative.html">relative</a>
<a href="/grüße/straße?q=ä ö">unicode address</a>
<a href="%67r%C3%BC%C3%9Fe/straße?q=%C3%A4%20ö">the same, half encoded</a>
<a href="/missing">broken</a>
<a href="/flaky">500 at first</a>
<a href="/busy">429 at first</a>
<a href="/broken">500 for ever</a>
<a href="/cut">connection lost</a>
<a href="/slow">slow</a>
<a href="/trickle">a byte now and then</a>
<a href="/loop/a">redirect loop</a>
<a href="/moved">redirect</a>
<a href="/away">redirect to another site</a>
<a href="/film.bin">not HTML, and huge</a>
<a href="/latin1.html">another encoding</a>
<a href="/utf16.html">byte order mark</a>
<a href="/gzip.html">compressed</a>
<a href="/base.html">base</a>
<a href="/nofollow.html">no links, please</a>
<a href="/private/secret.html">against robots.txt</a>
<a href="/odd.html">malformed</a>
<a href="http://localhost:{port}/outside.html">another site</a>
<a href="http://[half an address">nonsense</a>
<a href="mailto:nobody@example.org">mail</a>
<a href="javascript:void(0)">script</a>
<a name="nothing">no address</a>
<a href="">this page</a>
<iframe src="/framed.html"></iframe>
"""

# After the good images of the gallery; the pages of these names see to the rest.
BAD_IMAGES = """\
<a href="/gone.png">not found</a>
<a href="/cut.jpg">connection lost</a>
<a href="/slow.jpg">slow</a>
<a href="/page.png">a page in truth</a>
<a href="/plain.html">no image</a>
"""

PAGES = {
    "/robots.txt": (200, {"Content-Type": "text/plain"}, ROBOTS.encode()),
    "/missing": (404, HTML, b"<title>No</title><a href='/from-error'>x</a>"),
    "/gone.png": (404, HTML, b"gone"),
    "/broken": (500, HTML, b"sorry"),
    "/moved": (302, {"Location": "/plain.html"}, b""),
    "/loop/a": (302, {"Location": "/loop/b"}, b""),
    "/loop/b": (302, {"Location": "/loop/a"}, b""),
    "/deep/relative.html": (200, HTML, b"<a href='../up.html'>up</a>"),
    "/latin1.html": (
        200,
        {"Content-Type": "text/html"},
        "<meta charset='iso-8859-1'><title>Café</title>".encode("latin-1"),
    ),
    "/utf16.html": (
        200,
        {"Content-Type": "text/html"},
        "<title>Σίσυφος</title><a href='/from-utf16'>x</a>".encode("utf-16"),
    ),
    "/base.html": (
        200,
        HTML,
        b"<base href='/based/'><a href='here.html'>x</a>",
    ),
    "/nofollow.html": (
        200,
        HTML,
        b"<meta name='robots' content='NoIndex, NoFollow'>"
        b"<a href='/not-followed'>x</a>",
    ),
    "/gzip.html": (
        200,
        {**HTML, "Content-Encoding": "gzip"},
        gzip.compress(b"<title>Small</title>" + b" " * 5000),
    ),
    "/odd.html": (
        200,
        {"Content-Type": "text/html; charset=no-such-charset"},
        b"<title>Odd</title><a href=/from-odd>x<![odd[<p =\"><a href='?x=1",
    ),
    "/grüße/straße?q=ä ö": (200, HTML, "<title>Grüße</title>".encode()),
}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        """Find the page and send it."""
        path = urlsplit(self.path).path
        self.server.note(self.path)
        special = getattr(self, "page_" + path.strip("/").partition(".")[0], None)
        if special is not None:
            special()
        else:
            self.answer(*self.server.pages.get(self.path, self.generated(path)))

    def generated(self, path: str) -> Answer:
        """Return a page with no links, or one of a site in tree form."""
        _, tree, name = (path + "//").split("/")[:3]
        if tree in TREES:
            number = int(name)
            below = [n for n in (2 * number + 1, 2 * number + 2) if n < TREES[tree]]
            links = "".join(f"<a href='/{tree}/{n}'>{n}</a>" for n in below)
            time.sleep(0.01)
            return 200, HTML, f"<title>{number}</title>{links}".encode()
        return 200, HTML, f"<title>{path}</title>".encode()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page_(self) -> None:
        """Answer for the start page."""
        port = self.server.server_port
        self.answer(200, HTML, START.replace("{port}", str(port)).encode())

    def page_log(self) -> None:
        """Answer with all paths that were asked for."""
        self.answer(200, {"Content-Type": "text/plain"}, self.server.log())

    def page_flaky(self) -> None:
        """Fail once, then work."""
        first = self.server.asked["/flaky"] == 1
        self.answer(500 if first else 200, HTML, b"<title>At last</title>")

    def page_busy(self) -> None:
        """Be busy once, and say for how long."""
        if self.server.asked["/busy"] == 1:
            self.answer(429, {**HTML, "Retry-After": "1"}, b"")
        else:
            self.answer(200, HTML, b"<title>Free</title>")

    def page_cut(self) -> None:
        """Promise more than is sent."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"<title>Cut")
        self.close_connection = True

    def page_slow(self) -> None:
        """Answer when nobody waits any more."""
        time.sleep(SLOW)
        self.answer(200, HTML, b"")

    def page_trickle(self) -> None:
        """Never be silent for long, and never finish."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(int(SLOW / 0.1)):
            self.wfile.write(b" ")
            time.sleep(0.1)

    def page_away(self) -> None:
        """Send the visitor to another site."""
        port = self.server.server_port
        self.answer(302, {"Location": f"http://localhost:{port}/foreign.html"}, b"")

    def page_foreign(self) -> None:
        """Be that other site, with a link to a page of its own."""
        self.answer(200, HTML, b"<title>Foreign</title><a href='/own'>x</a>")

    def page_film(self) -> None:
        """Promise far more than anybody should fetch."""
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


class Site(ThreadingHTTPServer):
    """The server, with what it remembers of its visitors."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        """Listen on any free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {encoded(path): page for path, page in PAGES.items()}
        self.asked: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def add_gallery(self, folder: Path) -> None:
        """Serve the files below a folder, and the page with links to them."""
        links = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                address = encoded(f"/files/{path.relative_to(folder)}")
                links.append(f"<a href='{address}'>x</a>")
                image = {"Content-Type": "application/octet-stream"}
                self.pages[address] = 200, image, path.read_bytes()
        page = "".join(links) + BAD_IMAGES
        self.pages["/gallery.html"] = 200, HTML, page.encode()

    def note(self, path: str) -> None:
        """Remember a request."""
        with self._lock:
            self.asked[path] += 1

    def log(self) -> bytes:
        """Return all requests so far, the most frequent path first."""
        with self._lock:
            return "\n".join(self.asked.elements()).encode()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of visitors who hang up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def encoded(path: str) -> str:
    """Return a path as it stands in a request."""
    return quote(path, safe="/?=")


if __name__ == "__main__":
    site = Site()
    if len(sys.argv) > 1:
        site.add_gallery(Path(sys.argv[1]))
    print(site.server_port, flush=True)
    site.serve_forever()
