#!/usr/bin/env python3
"""Serve the standard library's documentation, as pydoc renders it.

    python demo_site.py [--port 8000] [--modules 300] [--images FOLDER]

A site of real pages to try the crawler on when there is no network: a few
hundred pages of very different sizes, each with links to others. With
``--images`` there is a page /images/, too, to try the image pipeline on: it
links to the files of a folder, and no other page links to it. All of the site
is made before the first request, so that serving costs next to nothing and
does not disturb what is measured beside it. The first line of output is the
address of the site.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import mimetypes
import pkgutil
import pydoc
import re
import sys
import warnings
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

# Modules that do something when they are imported, need a screen, belong to
# tests, or are leaving; and the hundred pages of encodings, all alike.
LEFT_OUT = re.compile(
    r"antigravity|this|idlelib|turtle(demo)?|tkinter|lib2to3|distutils|test"
    r"|_.*|.*\.(_.*|tests?)|encodings\..*"
)


def names_of_modules() -> list[str]:
    """Return the public modules of the standard library, packages included."""
    names = []
    for name in sorted(sys.stdlib_module_names):
        if LEFT_OUT.fullmatch(name):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # Of another system, or not installed here.
        names.append(name)
        for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not LEFT_OUT.fullmatch(f"{name}.{info.name}"):
                names.append(f"{name}.{info.name}")
    return names


def render(name: str) -> str | None:
    """Return the page of a module, or None where it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    title = pydoc.describe(module)
    return pydoc.html.page(title, pydoc.html.document(module, name))


def render_site(most: int) -> dict[str, bytes]:
    """Return the pages of the site by path, the index among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some modules are deprecated.
        found = {name: render(name) for name in names_of_modules()[:most]}
    pages = {name: page for name, page in found.items() if page is not None}

    def keep(link: re.Match[str]) -> str:
        """Drop links to modules and files that the site does not have."""
        name = link[1].partition("#")[0].removesuffix(".html")
        return link[0] if name in pages or name in ("", ".") else "<a>"

    site = {
        f"/{name}.html": re.sub(r'<a href="(?!https?:)([^"]*)">', keep, page)
        for name, page in pages.items()
    }
    items = "".join(
        f'<li><a href="{name}.html">{escape(name)}</a></li>' for name in pages
    )
    site["/"] = f"<!doctype html><title>Index of modules</title><ul>{items}</ul>"
    # Names of the terminal's encoding may hold what UTF-8 does not.
    return {path: page.encode("utf-8", "replace") for path, page in site.items()}


def answers_of_site(modules: int) -> dict[str, bytes]:
    """Return the answers with the pages of so many modules, by path."""
    html = "text/html; charset=utf-8"
    site = render_site(modules)
    return {path: answer("200 OK", html, page) for path, page in site.items()}


def answers_of_images(folder: Path) -> dict[str, bytes]:
    """Return the answers with the files of a folder and a page of links to them."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    items = "".join(
        f'<li><a href="{quote(path.name)}">{escape(path.name)}</a></li>'
        for path in files
    )
    page = f"<!doctype html><title>Images</title><ul>{items}</ul>".encode()
    answers = {"/images/": answer("200 OK", "text/html; charset=utf-8", page)}
    for path in files:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        answers[f"/images/{path.name}"] = answer("200 OK", kind, path.read_bytes())
    return answers


def answer(status: str, kind: str, body: bytes) -> bytes:
    """Return a whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """Answers the requests of one visitor from what is ready in memory."""

    NOT_FOUND = answer("404 Not Found", "text/plain", b"no such page\n")

    def __init__(self, answers: dict[str, bytes]) -> None:
        """Serve the *answers*, by path."""
        self.answers = answers
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is complete."""
        *heads, self.received = (self.received + data).split(b"\r\n\r\n")
        for head in heads:
            path = unquote(head.split(b" ", 2)[1].decode("latin-1"))
            self.transport.write(self.answers.get(path, self.NOT_FOUND))


async def serve(answers: dict[str, bytes], port: int) -> None:
    """Serve the answers on the loopback address for ever."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(answers), "127.0.0.1", port, backlog=512
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    await server.serve_forever()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Serve pydoc's pages.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--modules", type=int, default=300, help="at most so many")
    parser.add_argument("--images", type=Path, help="a folder to serve, too")
    options = parser.parse_args()
    answers = answers_of_site(options.modules)
    if options.images:
        answers |= answers_of_images(options.images)
    size = sum(map(len, answers.values()))
    print(f"{len(answers)} answers, {size / 1e6:.1f} MB", file=sys.stderr)
    try:
        asyncio.run(serve(answers, options.port))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
