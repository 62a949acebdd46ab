"""The pages of the documentation: their blocks, headings and links.

What a fenced block is for, its first word says:

- ``python``: run, one after the other in one namespace; a doctest where there
  are prompts.  ``if=NAME`` behind it: where futures_c has that name;
  ``file=NAME``: written to a file of that name instead of being run.
- ``console``: lines that begin with "$ " are run by a shell in the directory
  of those files, and must print what follows.
- ``sh``, ``text``, ``mermaid`` and none: shown only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
API = DOCS / "api"

RUN = {"python", "console"}
SHOWN = {"sh", "text", "mermaid", ""}

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *#*$")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_NAME = re.compile(r"^`([A-Za-z_][\w.]*)(?:\(\))?`$")


@dataclass(frozen=True)
class Block:
    """A fenced block: what is in it, and where its first line is, from 0."""

    language: str
    options: dict[str, str]
    text: str
    line: int


def all_pages() -> list[Path]:
    """README.md and everything below docs."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def pages_with_examples() -> list[Path]:
    """All pages but those for readers of the source, and that of results."""
    return [
        page
        for page in all_pages()
        if DOCS / "internals" not in page.parents and page != DOCS / "ecosystem.md"
    ]


def label(page: Path) -> str:
    """The page's path below the root."""
    return page.relative_to(ROOT).as_posix()


def split(text: str) -> tuple[list[Block], list[str]]:
    """The fenced blocks of a page; and its lines, those in blocks made empty."""
    blocks: list[Block] = []
    prose: list[str] = []
    inside: list[str] | None = None
    fence = language = indent = ""
    options: dict[str, str] = {}
    for number, line in enumerate(text.splitlines()):
        match = _FENCE.match(line)
        if inside is None and match is not None:
            indent, fence, info = match.groups()
            language, *rest = info.split() or [""]
            options = dict(word.split("=", 1) for word in rest)
            inside = []
        elif inside is None:
            prose.append(line)
            continue
        elif match is not None and match[2] == fence and not match[3]:
            start = number - len(inside)
            body = "".join(f"{one}\n" for one in inside)
            blocks.append(Block(language, options, body, start))
            inside = None
        else:
            inside.append(line.removeprefix(indent))
        prose.append("")
    assert inside is None, "a fenced block has no end"
    return blocks, prose


@dataclass(frozen=True)
class Section:
    """A heading, and the lines up to the next one of its kind or above."""

    title: str
    level: int
    lines: list[str]

    @property
    def name(self) -> str | None:
        """The name that the section is about: its heading is code."""
        match = _NAME.match(self.title)
        return match[1] if match is not None else None

    @property
    def text(self) -> str:
        """Its lines as one text."""
        return "\n".join(self.lines)

    @property
    def signature(self) -> str | None:
        """What is indented first in it, as one line."""
        lines: list[str] = []
        for line in self.lines:
            if line.startswith("    "):
                lines.append(line.strip())
            elif lines:
                break
        return " ".join(lines) or None


def sections(page: Path) -> Iterator[Section]:
    """The sections of a page, each with those below it."""
    text = page.read_text()
    lines = text.splitlines()
    _, prose = split(text)
    heads = [
        (number, match)
        for number, line in enumerate(prose)
        if (match := _HEADING.match(line)) is not None
    ]
    for index, (number, match) in enumerate(heads):
        level = len(match[1])
        end = next(
            (later for later, other in heads[index + 1 :] if len(other[1]) <= level),
            len(lines),
        )
        yield Section(match[2], level, lines[number + 1 : end])


def anchors(page: Path) -> set[str]:
    """What a link may name behind "#", as the usual viewers of Markdown have it."""
    found: set[str] = set()
    for section in sections(page):
        words = section.title.lower().replace("`", "").replace("*", "")
        base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        anchor, count = base, 0
        while anchor in found:
            count += 1
            anchor = f"{base}-{count}"
        found.add(anchor)
    return found


def links(page: Path) -> list[str]:
    """What the page links to, outside of code."""
    _, prose = split(page.read_text())
    text = "\n".join(line for line in prose if not line.startswith("    "))
    return _LINK.findall(_CODE.sub("", text))
