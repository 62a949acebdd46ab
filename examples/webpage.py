"""Addresses and HTML: what the crawler knows about the web.

Nothing here has to do with threads: text goes in, addresses come out. The
crawler calls `parse_page` in its workers and `normalize` for what people type.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from html.parser import HTMLParser
from urllib.parse import urljoin

from requests.utils import requote_uri
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

HTML_TYPES = {"text/html", "application/xhtml+xml"}
DEFAULT_PORTS = {"http": 80, "https": 443}
META_CHARSET = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE
)


def normalize(url: str) -> str | None:
    """Return the one spelling of an address, or None if it is not http(s).

    Two links to one page must compare equal: the host becomes lower case and
    ASCII, unsafe characters are percent-encoded, "." and ".." are resolved,
    and the fragment and a default port go away.
    """
    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.host:
        return None
    port = None if parts.port == DEFAULT_PORTS[parts.scheme] else parts.port
    parts = parts._replace(auth=None, port=port, path=parts.path or "/", fragment=None)
    return requote_uri(parts.url)


def site_of(url: str) -> tuple[str, int | None]:
    """Return what pages of one site share: host and any unusual port."""
    parts = parse_url(url)
    port = None if parts.port in DEFAULT_PORTS.values() else parts.port
    return parts.host or "", port


# Elements that lead to another page, and the attribute that says where.
LINKS = {"a": "href", "area": "href", "frame": "src", "iframe": "src"}


class PageParser(HTMLParser):
    """Collects what the crawler wants of a page: title, base and links."""

    def __init__(self) -> None:
        """Start with an empty page."""
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.hrefs: list[str] = []
        self.title = ""
        self.follow = True
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, the base, or what a meta tag asks of robots."""
        values = dict(attrs)
        if tag in LINKS:
            href = values.get(LINKS[tag])
            if href is not None:
                self.hrefs.append(href.strip())
        elif tag == "base" and not self.base:
            self.base = (values.get("href") or "").strip()
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "meta" and (values.get("name") or "").lower() == "robots":
            self.follow = "nofollow" not in (values.get("content") or "").lower()

    def handle_endtag(self, tag: str) -> None:
        """End the title."""
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        """Collect the title."""
        if self._in_title:
            self.title += data


def parse_page(text: str, address: str) -> tuple[str, list[str]]:
    """Return the title of a page and the addresses that it links to."""
    parser = PageParser()
    # Some malformed declarations make html.parser give up with an assertion;
    # what it found before that is still good.
    with contextlib.suppress(AssertionError):
        parser.feed(text)
        parser.close()
    links: dict[str, None] = {}  # A set that keeps the order of the page.
    if parser.follow:
        for href in parser.hrefs:
            # Links that no browser could follow either are skipped.
            with contextlib.suppress(ValueError):
                link = normalize(urljoin(urljoin(address, parser.base), href))
                if link:
                    links[link] = None
    return " ".join(parser.title.split()), list(links)


def decode(body: bytes, charset: str | None) -> str:
    """Turn a page into text as browsers do: BOM, header, meta tag, UTF-8."""
    candidates = [charset]
    for bom, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if body.startswith(bom):
            candidates.insert(0, name)
    meta = META_CHARSET.search(body[:2048])
    if meta:
        candidates.append(meta[1].decode("ascii", "replace"))
    for name in filter(None, candidates):
        # A charset that Python does not know, or that is not one of text.
        with contextlib.suppress(LookupError, ValueError):
            return body.decode(name, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")
