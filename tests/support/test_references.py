"""`--references` finds what leaks, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.references import Counts, grown

TESTS = Path(__file__).resolve().parents[1]

#: Tests of which each, but the last ones, leaks what its name says.
PLANTED = """
import ctypes, os, sys
import pytest

kept = []
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p

def test_references():
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))

def test_blocks():
    kept.append([1, 2, 3])

def test_bytes():
    # More than one: a few freed ones are kept at hand.
    for _ in range(20):
        malloc(1000)

@pytest.mark.keeps("references", "blocks", reason="to be seen here")
def test_kept_by_design():
    kept.append([1, 2, 3])

once = {}

def test_fills_a_cache():
    once.setdefault("it", [1, 2, 3])

def test_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    print("words")

@pytest.fixture
def counted():
    kept.append(None)
    yield len(kept)

def test_fixtures_are_fresh(counted):
    assert counted == len(kept)

def test_fails():
    assert not kept
"""


def rows(*numbers: int) -> list[Counts]:
    return [Counts(blocks=number) for number in numbers]


def test_what_grows_each_time_has_grown():
    assert grown(rows(10, 11, 13, 14)) == {"blocks": [1, 2, 1]}
    assert not grown(rows(10, 11, 11, 12))
    assert not grown(rows(10, 13, 12, 15))
    assert not grown(rows(10, 11, 13, 14), frozenset({"blocks"}))


@pytest.mark.skipif(not hasattr(sys, "gettotalrefcount"), reason="for debug builds")
def test_planted_leaks_are_found(tmp_path):
    (tmp_path / "test_planted.py").write_text(PLANTED)
    # The options, and the plugin, as of our own tests.
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from support import references\n"
        "pytest_addoption = references.add_option\n"
        "pytest_configure = references.prepare\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "--references=3", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    for kind in ("references", "blocks", "bytes"):
        assert f"leaked {kind}: [" in done.stdout, done.stdout
        assert f"FAILED test_planted.py::test_{kind} " in done.stdout
    assert "4 failed, 4 passed" in done.stdout, done.stdout
