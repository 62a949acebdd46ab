"""Every link of the documentation leads somewhere."""

from __future__ import annotations

import re

import pages
import pytest

# Of the outside only such places as everybody may look at.
OUTSIDE = re.compile(
    r"https://(docs\.python\.org/3(\.\d+)?/|keepachangelog\.com/|semver\.org/"
    r"|github\.com/python/cpython/|bugs\.python\.org/issue\d+$)"
)

FILES = [
    *pages.all_pages(),
    pages.ROOT / "CHANGELOG.md",
    *sorted(pages.ROOT.glob("src/*/README.md")),
    *sorted(pages.ROOT.glob("benchmarks/**/*.md")),
]


@pytest.mark.parametrize("page", FILES, ids=pages.label)
def test_the_links_of(page):
    for link in pages.links(page):
        if "://" in link:
            assert OUTSIDE.match(link), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert pages.ROOT in target.parents, link
        if anchor:
            assert target.suffix == ".md", link
            assert anchor in pages.anchors(target), link


def test_the_map_leads_to_every_page():
    start = pages.DOCS / "README.md"
    seen = {start}
    left = [start]
    while left:
        page = left.pop()
        for link in pages.links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in seen:
                seen.add(target)
                left.append(target)
    assert set(pages.all_pages()) <= seen
    assert start in {
        (pages.ROOT / link.partition("#")[0]).resolve()
        for link in pages.links(pages.ROOT / "README.md")
    }
