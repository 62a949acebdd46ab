"""The layers of src: arrows point one way, and each keeps to its own.

    python -> ipc -> core -> port

The rules are functions of a folder, so that each is shown to find what it
forbids in a folder made for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the lowest layer up; a layer may include itself and those before it.
LAYERS = ["port", "core", "ipc", "python"]

# Folders whose text belongs to the project.
OURS = [
    ".ci",
    "benchmarks",
    "docs",
    "examples",
    "futures_c",
    "src",
    "tests",
    "tools",
]

MOST_LINES = 800

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CONDITION = re.compile(r"^\s*#\s*(?:el)?if.*", re.MULTILINE)
SYSTEM = re.compile(
    r"\b(__linux__|__APPLE__|_WIN32|_MSC_VER|__CYGWIN__|__unix__"
    r"|__(Free|Net|Open)BSD__|__sun|_AIX|__GLIBC__|__ANDROID__|FC_PORT_\w+)\b"
)
VERSION = re.compile(r"\b(PY_VERSION_HEX|PY_M\w+_VERSION|PYPY_VERSION)\b")
# A path of one machine: a home, a root's home, a mounted work folder.
ONE_MACHINE = re.compile(r"(?<![\w.~$}/-])/(root|home|work|Users)/[\w.]")


def c_files(root: Path) -> Iterator[tuple[str, str, str]]:
    """Layer, name and text of every C file of src."""
    for path in sorted(root.glob("src/*/*.[ch]")):
        yield path.parent.name, str(path.relative_to(root)), path.read_text()


def own_files(root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every text file of the project."""
    paths = [p for p in root.iterdir() if p.is_file() and p.name != ".git"]
    for folder in OURS:
        paths += (p for p in (root / folder).rglob("*") if p.is_file())
    for path in sorted(paths):
        if "__pycache__" in path.parts or path.suffix in {".so", ".png", ".o"}:
            continue
        yield str(path.relative_to(root)), path.read_text(errors="replace")


def includes_upwards(root: Path) -> list[str]:
    """Includes of a higher layer."""
    found = []
    for layer, name, text in c_files(root):
        allowed = LAYERS[: LAYERS.index(layer) + 1]
        for kind, included in INCLUDE.findall(text):
            if kind == '"' and included.split("/")[0] not in allowed:
                found.append(f"{name} includes {included}")
    return found


def python_outside_its_layer(root: Path) -> list[str]:
    """Python.h below src/python, in one file of it alone."""
    found = []
    for layer, name, text in c_files(root):
        for _, included in INCLUDE.findall(text):
            headers = {"Python.h", "structmember.h", "pythread.h"}
            if included in headers and layer != "python":
                found.append(f"{name} includes {included}")
    return found


def systems_outside_port(root: Path) -> list[str]:
    """Preprocessor conditions on an operating system outside src/port."""
    return [
        f"{name}: {line.strip()}"
        for layer, name, text in c_files(root)
        if layer != "port"
        for line in CONDITION.findall(text)
        if SYSTEM.search(line)
    ]


def versions_outside_compat(root: Path) -> list[str]:
    """Conditions on the version of Python outside src/python/compat.h."""
    return [
        f"{name}: {line.strip()}"
        for _, name, text in c_files(root)
        if not name.endswith("python/compat.h")
        for line in CONDITION.findall(text)
        if VERSION.search(line)
    ]


def paths_of_one_machine(root: Path) -> list[str]:
    """Absolute paths that exist on one machine alone."""
    return [
        f"{name}: {match.group()}"
        for name, text in own_files(root)
        for match in ONE_MACHINE.finditer(text)
    ]


def files_that_hold_two_things(root: Path) -> list[str]:
    """Sources that have grown past what one thing needs."""
    return [
        f"{name}: {len(text.splitlines())} lines"
        for name, text in own_files(root)
        if name.endswith((".c", ".h", ".py")) and len(text.splitlines()) > MOST_LINES
    ]


# Each rule, with a file that breaks it.  The path is put together here, lest
# this file itself break the rule.
RULES: list[tuple[Callable[[Path], list[str]], str, str]] = [
    (includes_upwards, "src/core/x.c", '#include "python/state.h"\n'),
    (includes_upwards, "src/port/x.h", '#  include "core/queue.h"\n'),
    (includes_upwards, "src/ipc/x.h", '#include "python/state.h"\n'),
    (python_outside_its_layer, "src/core/x.h", "#include <Python.h>\n"),
    (systems_outside_port, "src/core/x.c", "#ifdef __linux__\n#endif\n"),
    (systems_outside_port, "src/python/x.c", "#if defined(_WIN32)\n#endif\n"),
    (versions_outside_compat, "src/python/x.c", "#if PY_VERSION_HEX > 1\n#endif\n"),
    (paths_of_one_machine, "tools/x", "cd /" + "home/someone\n"),
    (paths_of_one_machine, "README", "see `/" + "root/.cache`\n"),
    (files_that_hold_two_things, "src/core/x.c", "\n" * (MOST_LINES + 1)),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES))
def test_the_tree_keeps_the_rule(rule):
    assert rule(ROOT) == []


@pytest.mark.parametrize(("rule", "name", "text"), RULES)
def test_the_rule_finds_what_it_forbids(rule, name, text, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (found,) = rule(tmp_path)
    assert found.startswith(name)


def test_the_rules_see_the_tree():
    layers = {layer for layer, _, _ in c_files(ROOT)}
    assert layers >= {"port", "core", "python"}
    assert layers <= set(LAYERS)
    names = [name for name, _ in own_files(ROOT)]
    assert "setup.py" in names
    assert any(name.startswith("tests/core/") for name in names)
