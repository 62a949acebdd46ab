"""Building: what setup.py refuses, and that a source distribution is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("setuptools", reason="it builds the package")

# Runs setup.py after something has been made to look different.
PRETEND = """
    import os, runpy, sys, sysconfig
    # setuptools first: it is the package that is fooled, not its tools.
    import setuptools.command.build_ext, setuptools.command.build_py
    {pretence}
    sys.argv = ["setup.py", *{command!r}]
    runpy.run_path("setup.py", run_name="__main__")
"""

REFUSALS = {
    "old Python": (
        "sys.version_info = (3, 10, 9, 'final', 0); sys.version = '3.10.9 (main)'",
        "it needs Python 3.11 or newer, and this is 3.10.9",
    ),
    "another Python": (
        "sys.implementation.name = 'pypy'",
        "it is written for CPython, and this is pypy",
    ),
    "Windows": (
        "sys.platform = 'win32'",
        "it needs Linux or another POSIX system; Windows is not supported yet",
    ),
}


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources, without what was built in them."""
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "*.so", "*.o", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


def run(*command, cwd, cap=300, **env):
    """Run a command and return it, however it ended."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=cap,
    )


def run_setup(cwd, *command, pretence="", **env):
    source = textwrap.dedent(PRETEND).format(pretence=pretence, command=command)
    return run(sys.executable, "-c", source, cwd=cwd, **env)


def assert_refused(done, sentence):
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("futures_c cannot be built here: ")
    assert sentence in last
    assert last.endswith(".")


@pytest.mark.parametrize("system", REFUSALS)
def test_setup_stops_with_one_sentence(system, checkout):
    pretence, sentence = REFUSALS[system]
    done = run_setup(checkout, "build_ext", pretence=pretence)
    assert_refused(done, sentence)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (checkout / "build").exists()


def test_setup_names_a_compiler_that_is_too_old(checkout, tmp_path):
    compiler = tmp_path / "old-cc"
    compiler.write_text("#!/bin/sh\necho 'stdatomic.h: no such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    done = run_setup(checkout, "build_ext", CC=str(compiler))
    assert_refused(done, "it needs a C compiler that knows C11 atomics")


def test_setup_names_a_compiler_that_is_missing(checkout, tmp_path):
    done = run_setup(checkout, "build_ext", CC=str(tmp_path / "nothing"))
    assert_refused(done, "it needs a C compiler that knows C11 atomics")


def test_setup_names_headers_that_are_missing(checkout, tmp_path):
    pretence = f"sysconfig.get_path = lambda *a, **k: {str(tmp_path)!r}"
    done = run_setup(checkout, "build_ext", pretence=pretence)
    version = sysconfig.get_python_version()
    assert_refused(done, f"the headers of Python {version} are missing")


@pytest.mark.parametrize(
    ("version", "name"), [((3, 17), "futures_c.pth"), ((3, 18), "futures_c.start")]
)
def test_the_start_file_is_the_one_that_the_version_reads(checkout, version, name):
    pretence = (
        "from collections import namedtuple; "
        "names = 'major minor micro releaselevel serial'; "
        f"sys.version_info = namedtuple('V', names){(*version, 0, 'final', 0)!r}"
    )
    done = run_setup(checkout, "build_py", pretence=pretence)
    assert done.returncode == 0, done.stderr
    (built,) = (checkout / "build").glob("lib*/futures_c.*")
    assert built.name == name


@pytest.mark.slow
@pytest.mark.cap(400)
def test_a_source_distribution_builds_and_installs(checkout, tmp_path):
    """sdist, then a wheel from it alone, then a fresh environment with that.

    Built without optimization and with warnings as errors.  The wheel is put
    in place by hand, so that no pip and no network are needed.
    """
    backend = "from setuptools import build_meta as b; print(b.build_{}({!r}))"
    out = str(tmp_path)
    done = run(sys.executable, "-c", backend.format("sdist", out), cwd=checkout)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        # Early versions of 3.11 have no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(tmp_path / "sdist")
    (unpacked,) = (tmp_path / "sdist").iterdir()

    def inventory(root):
        wanted = ["src/*/*.[ch]", "futures_c/*.py*", "tests/**/*.py", "tools/*"]
        wanted += ["Makefile", "LICENSE", "setup.py", "pyproject.toml"]
        return {
            str(path.relative_to(root))
            for pattern in wanted
            for path in root.glob(pattern)
            if path.is_file()
        }

    assert inventory(unpacked) == inventory(checkout)
    assert len(inventory(unpacked)) > 50

    env = {"FUTURES_C_DEBUG": "1", "CFLAGS": "-Werror"}
    done = run(sys.executable, "-c", backend.format("wheel", out), cwd=unpacked, **env)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")

    venv = tmp_path / "venv"
    done = run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (packages,) = (venv / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(packages)
    assert (packages / "futures_c" / "py.typed").exists()
    assert list((packages / "futures_c").glob("*.pyi"))
    assert not [p for p in packages.rglob("*") if p.suffix in {".c", ".h"}]

    program = (
        "import futures_c, sys; print(futures_c.__file__, futures_c.__version__); "
        "print(sum(futures_c.ThreadPoolExecutor(2).map(abs, range(-1000, 0))))"
    )
    done = run(str(venv / "bin" / "python"), "-W", "error", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where, total = done.stdout.splitlines()
    assert Path(where.split()[0]).is_relative_to(Path(packages).resolve())
    assert total == "500500"


@pytest.mark.slow
@pytest.mark.cap(300)
def test_the_portable_half_builds_and_works(checkout):
    done = run_setup(
        checkout,
        "build_ext",
        "--inplace",
        FUTURES_C_PORT="posix",
        FUTURES_C_DEBUG="1",
        CFLAGS="-Werror",
    )
    assert done.returncode == 0, done.stderr
    program = """if True:
        import futures_c
        with futures_c.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(pow, 2, n) for n in range(2000)]
            assert futures_c.wait(futures, 60).not_done == set()
            assert [f.result() for f in futures] == [2**n for n in range(2000)]
            assert list(pool.map(abs, range(-2000, 0))) == list(range(2000, 0, -1))
            try:
                pool.submit(__import__("time").sleep, 0.2).result(0.01)
            except futures_c.TimeoutError:
                print(futures_c.__file__)
    """
    env = {"PYTHONPATH": str(checkout)}
    done = run(sys.executable, "-W", "error", "-c", program, cwd=checkout, **env)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(checkout.resolve())
