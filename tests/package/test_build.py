"""Building: what setup.py refuses, and that a source distribution is whole."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path

import pytest
from support.packages import ROOT, copy_checkout, run, unpack

setuptools = pytest.importorskip("setuptools", reason="it builds the package")

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
    return copy_checkout(tmp_path / "checkout")


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


def backend(cwd, call, **env):
    """Call setuptools' build backend where nothing else can be imported."""
    code = (
        "import sys; sys.path.append(sys.argv[1]);"
        f"from setuptools import build_meta as backend; backend.{call}"
    )
    tools = cwd.parent / "nothing but setuptools"
    if not tools.exists():
        tools.mkdir()
        installed = Path(setuptools.__file__).parents[1]
        for pattern in ("setuptools", "setuptools-*.dist-info", "_distutils_hack"):
            for path in installed.glob(pattern):
                (tools / path.name).symlink_to(path)
    command = [sys.executable, "-I", "-S", "-c", code, str(tools)]
    done = run(*command, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def sdist(checkout, tmp_path):
    """The source distribution, unpacked."""
    backend(checkout, f"build_sdist({str(tmp_path)!r})")
    (archive,) = tmp_path.glob("*.tar.gz")
    return unpack(archive, tmp_path / "sdist")


@pytest.mark.slow
def test_the_source_distribution_is_whole(sdist):
    """All that git knows of, but what is for git alone."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("compares with what git has: no checkout, or no git")
    # What is about to be added is part of it, unless it has been removed.
    command = ("git", "-c", "safe.directory=*", "ls-files", "-zco")
    listed = run(*command, "--exclude-standard", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    wanted = {
        name
        for name in listed.stdout.split("\0")
        if (ROOT / name).is_file() and not name.startswith(".git")
    }
    packed = {
        str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()
    }
    assert len(wanted) > 200
    assert wanted - packed == set()
    more = {name for name in packed - wanted if ".egg-info/" not in name}
    assert more == {"PKG-INFO", "setup.cfg"}


@pytest.mark.slow
@pytest.mark.cap(400)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_it_builds_with_nothing_but_a_compiler_and_headers(sdist, tmp_path, compiler):
    """A wheel from the source distribution alone, then an environment with that.

    Without optimization and with warnings as errors.  Of the system's commands
    there are the compiler's alone, of packages setuptools.  The wheel is put in
    place by hand, so that no pip and no network are needed.
    """
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in (compiler, "as", "ld"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name} here")
        (commands / name).symlink_to(found)
    env = {"FUTURES_C_DEBUG": "1", "CFLAGS": "-Werror", "CC": compiler}
    env["PATH"] = str(commands)
    backend(sdist, f"build_wheel({str(tmp_path)!r})", **env)
    (wheel,) = tmp_path.glob("*.whl")

    venv = tmp_path / "venv"
    done = run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (packages,) = (venv / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(packages)

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
