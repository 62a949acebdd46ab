"""What the package says of itself: one version, a licence, known classifiers."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, version

import pytest
from support.packages import ROOT

import futures_c

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


def newest_in_changelog(text):
    """The version of the first heading; of what is unreleased, that to come."""
    heading = re.search(r"^## \[(.+?)\]", text, re.MULTILINE).group(1)
    if heading != "Unreleased":
        return heading
    return re.search(
        r"^## \[Unreleased\]\n+To become ([0-9.]+),|^## \[([0-9].*?)\]",
        text,
        re.MULTILINE,
    ).expand(r"\1\2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## [Unreleased]\n\nTo become 0.2.0, the second.\n## [0.1.0] - x\n", "0.2.0"),
        ("## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n", "0.1.0"),
        ("# Changelog\n\n## [1.0.0] - x\n\n## [0.1.0]\n", "1.0.0"),
    ],
)
def test_the_newest_version_is_read(text, expected):
    assert newest_in_changelog(text) == expected


def test_there_is_one_version():
    assert "version" in PROJECT["dynamic"]
    assert newest_in_changelog((ROOT / "CHANGELOG.md").read_text()) == (
        futures_c.__version__
    )
    try:
        installed = version("futures_c")
    except PackageNotFoundError:
        pytest.skip("the package is on the path, but not installed")
    assert installed == futures_c.__version__


def test_the_licence_is_named_and_there():
    assert PROJECT["license"] == "MIT"
    (name,) = PROJECT["license-files"]
    assert "MIT License" in (ROOT / name).read_text()
    # The expression is said once: beside it, a classifier is an error.
    assert not [one for one in PROJECT["classifiers"] if one.startswith("License")]
    try:
        said = metadata("futures_c")
    except PackageNotFoundError:
        pytest.skip("the package is on the path, but not installed")
    assert said["License-Expression"] == "MIT"
    assert said.get_all("License-File") == [name]


def test_classifiers_name_what_is_supported():
    said = PROJECT["classifiers"]
    prefix = "Programming Language :: Python :: 3."
    assert [
        f"3.{one.removeprefix(prefix)}" for one in said if one.startswith(prefix)
    ] == VERSIONS
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"
    assert len([one for one in said if one.startswith("Development Status")]) == 1
    assert f"3.{sys.version_info[1]}" in VERSIONS


def test_classifiers_are_known():
    known = pytest.importorskip(
        "trove_classifiers", reason='comes with the extra "package"'
    )
    assert set(PROJECT["classifiers"]) <= known.classifiers


def test_wheels_are_built_for_all_of_them():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built = settings["tool"]["cibuildwheel"]["build"].split()
    plain = {f"cp{one.replace('.', '')}-*" for one in VERSIONS}
    assert set(built) == plain | {"cp314t-*", "cp315t-*"}
