"""The comparison itself, on a planted suite, and what is written down of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ecosystem import halves, page
from ecosystem.comparing import Comparison
from ecosystem.halves import Half
from ecosystem.packages import PACKAGES, Package

HERE = Path(__file__).resolve().parent

PLANTED = """
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

NATIVE = ThreadPoolExecutor.__module__.startswith("futures_c")

def test_passes():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(abs, -1).result() == 1

def test_fails_natively():
    assert not NATIVE

def test_fails_standardly():
    assert NATIVE

def test_fails():
    raise LookupError

def test_skips():
    pytest.skip("planted")

def test_skips_natively():
    if NATIVE:
        pytest.skip("planted")

@pytest.fixture
def torn():
    yield
    assert not NATIVE

def test_is_torn_down_badly(torn):
    pass

@pytest.mark.parametrize("k", [0, NATIVE])
def test_is_another(k):
    pass

def test_left_out():
    raise LookupError
"""


def planted(**fields) -> Package:
    fields = {
        "name": "planted",
        "uses": "",
        "select": ("test_planted.py",),
        "own_settings": False,
        "left_out": {"test_planted.py::test_left_out": "planted"},
        **fields,
    }
    return Package(**fields)


@pytest.fixture
def run(tmp_path):
    """Run one half of the planted suite, or of another."""

    def run(swapped, text=PLANTED, **options):
        (tmp_path / "test_planted.py").write_text(text)
        return halves.run(planted(), swapped, tmp_path, tmp_path / "logs", **options)

    return run


def test_what_differs(run):
    compared = Comparison(planted(), "1", run(False), run(True))
    assert not compared.standard.trouble
    assert not compared.swapped.trouble
    assert compared.standard.executors == compared.swapped.executors == 1
    names = [fault.partition("::")[2].partition("\n")[0] for fault in compared.faults]
    assert names == [
        "test_fails_natively: passed, swapped failed",
        "test_skips_natively: passed, swapped skipped",
        "test_is_torn_down_badly: passed, swapped error",
        "test_is_another[False]: passed, swapped missing",
    ]
    assert "assert not True" in compared.faults[0]
    fail_anyway = ["test_fails_standardly", "test_fails"]
    assert [node.partition("::")[2] for node in compared.weak] == fail_anyway
    passes = ["test_passes", "test_is_another[0]"]
    assert [node.partition("::")[2] for node in compared.passes] == passes


def test_same_passes(run):
    text = "def test_passes(): pass"
    compared = Comparison(planted(), "1", run(False, text), run(True, text))
    assert compared.faults == []
    assert compared.collected == len(compared.passes) == 1
    more = Comparison(planted(least=2), "1", compared.standard, compared.swapped)
    assert more.faults == ["planted: only 1 tests passed, and 2 should have"]


def test_run_that_was_not_swapped(run, monkeypatch):
    variables = halves.variables
    monkeypatch.setattr(halves, "variables", lambda file, _: variables(file, False))
    assert run(True).trouble.startswith("futures_c was not installed; see ")


def test_standard_half_that_was_swapped(run, monkeypatch):
    variables = halves.variables
    monkeypatch.setattr(halves, "variables", lambda file, _: variables(file, True))
    assert run(False).trouble.startswith("futures_c was installed; see ")


def test_copy_of_a_standard_name(run):
    text = """
import sys
from concurrent.futures import ThreadPoolExecutor

for kind in ThreadPoolExecutor.__mro__:
    if kind.__module__ == "concurrent.futures.thread":
        standard = kind

def test_uses_it():
    pass
"""
    assert "test_planted.standard was the standard one" in run(True, text).trouble


@pytest.mark.parametrize("text", ["", "import os; os._exit(0)", "def"])
def test_suite_that_cannot_run(run, text):
    half = run(False, text)
    assert half.trouble
    compared = Comparison(planted(), "1", half, Half({}, {}))
    assert compared.faults[0].startswith("planted, standard half: ")


@pytest.mark.slow
def test_suite_that_hangs(run):
    text = "import time\ndef test_stuck(): time.sleep(999)"
    half = run(True, text, cap=3)
    assert half.trouble.startswith("hung: no end within 3 s")


# What is written down.


def pins(name: str) -> dict[str, str]:
    lines = (HERE / name).read_text().splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            package, _, version = line.split(";")[0].split()[0].partition("==")
            found[package] = version
    return found


def test_packages_are_pinned():
    installed, unpacked = pins("requirements.txt"), pins("sdists.txt")
    assert all(installed.values())
    for package in PACKAGES:
        assert package.name in installed
        if package.tests == "sdist":
            assert unpacked.pop(package.name) == installed[package.name]
        else:
            assert package.tests == "wheel"
    assert not unpacked


def test_the_page_is_what_was_measured():
    results, installed = page.load(), pins("requirements.txt")
    assert f"{page.BEGIN}\n{page.table(results)}\n{page.END}" in page.PAGE.read_text()
    for python in results.values():
        versions = {name: row["version"] for name, row in python["packages"].items()}
        assert versions == {one.name: installed[one.name] for one in PACKAGES}
