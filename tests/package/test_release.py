"""A release as it is published and used: built by others' tools, installed by pip.

These need the extra "package", and an index to install build requirements from;
CI's step `package` has both.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.elf import Library
from support.packages import ROOT, copy_checkout, run, unpack

# Not "build" itself: the checkout may have a folder of that name.
pytest.importorskip("build.env", reason='comes with the extra "package"')

pytestmark = [pytest.mark.slow, pytest.mark.cap(400)]

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]


def check(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Environment:
    """A fresh virtual environment without pip, and an empty folder to be in."""

    def __init__(self, at: Path) -> None:
        check(run(sys.executable, "-m", "venv", "--without-pip", at / "v", cwd=at))
        self.bin = at / "v" / "bin"
        (self.packages,) = (at / "v" / "lib").glob("python*/site-packages")
        self.empty = at / "empty"
        self.empty.mkdir()

    def pip(self, *args: str | Path) -> str:
        python = self.bin / "python"
        command = (sys.executable, "-m", "pip", "--python", python, *args)
        return check(run(*command, cwd=self.empty))

    def python(self, *args: str | Path, **env: str) -> str:
        return check(run(self.bin / "python", *args, cwd=self.empty, **env))

    def files(self) -> set[Path]:
        found = self.packages.parents[2].rglob("*")
        return {path for path in found if not path.is_dir()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder that `python -m build` fills: an sdist, and a wheel from it."""
    at = tmp_path_factory.mktemp("release")
    checkout = copy_checkout(at / "checkout")
    command = (sys.executable, "-m", "build", "--outdir", at / "dist", checkout)
    check(run(*command, cwd=at))
    return at / "dist"


@pytest.fixture(scope="module")
def wheel(dist):
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment that has the wheel and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("installed"))
    environment.pip("install", "--no-index", wheel)
    return environment


def test_the_wheel_holds_the_package_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as zipped:
        names = {Path(name) for name in zipped.namelist()}
    tops = {name.parts[0].partition(".")[0] for name in names}
    assert tops == {"futures_c", "futures_c-0"}
    info = {name.name for name in names if "dist-info" in name.parts[0]}
    assert info == {"LICENSE", "METADATA", "RECORD", "WHEEL", "top_level.txt"}
    ours = {name.name for name in names if name.parts[0] == "futures_c"}
    assert "py.typed" in ours
    sources = {path.name for path in (ROOT / "futures_c").glob("*.py*")}
    (native,) = ours - sources - {"py.typed"}
    assert native.startswith("_native.") and native.endswith(".so")
    start = "futures_c.start" if sys.version_info >= (3, 18) else "futures_c.pth"
    assert {name for name in names if len(name.parts) == 1} == {Path(start)}


def test_both_pass_the_check_of_the_index(dist):
    pytest.importorskip("twine", reason="needs packages that 3.13t may not have")
    archives = sorted(dist.iterdir())
    assert len(archives) == 2
    check(run(sys.executable, "-m", "twine", "check", "--strict", *archives, cwd=dist))


def test_the_extension_is_hardened(installed):
    """What setup.py asks for where compiler and linker know it: here they do."""
    (native,) = installed.packages.glob("futures_c/_native.*.so")
    assert Library(native).weaknesses() == []


PROGRAM = """
import concurrent.futures
import sys
import futures_c

def work(n):
    return n * n

if __name__ == "__main__":
    assert futures_c.__file__.startswith(sys.prefix), futures_c.__file__
    squares = [n * n for n in range(1000)]
    for kind in (futures_c.ThreadPoolExecutor, futures_c.ProcessPoolExecutor):
        with kind(2) as pool:
            futures = [pool.submit(work, n) for n in range(1000)]
            assert [future.result() for future in futures] == squares
            assert list(pool.map(work, range(1000))) == squares
    print(concurrent.futures.ThreadPoolExecutor.__module__)
"""


@pytest.mark.parametrize(
    ("options", "variable", "module"),
    [
        ([], "", "concurrent.futures.thread"),
        ([], "1", "futures_c.thread"),
        (["-m", "futures_c"], "", "futures_c.thread"),
    ],
    ids=["as it is", "FUTURES_C_INSTALL", "python -m futures_c"],
)
def test_the_wheel_works_where_there_is_nothing_else(
    installed, options, variable, module
):
    program = installed.empty.parent / "program.py"
    program.write_text(PROGRAM)
    said = installed.python(*options, program, FUTURES_C_INSTALL=variable)
    assert said.split() == [module]


def test_pip_finds_nothing_amiss(installed):
    assert "No broken requirements" in installed.pip("check")
    version = "import futures_c as f, importlib.metadata as m; print(f.__version__)"
    version += "; print(m.version('futures_c'))"
    ours, theirs = installed.python("-c", version).split()
    assert ours == theirs


def test_nothing_is_left_when_it_is_uninstalled(wheel, tmp_path):
    environment = Environment(tmp_path)
    before = environment.files()
    environment.pip("install", "--no-index", wheel)
    environment.python("-c", "import futures_c.process", FUTURES_C_INSTALL="1")
    assert environment.files() != before
    environment.pip("uninstall", "-y", "futures_c")
    assert environment.files() == before


def test_it_passes_what_cibuildwheel_runs(dist, wheel, tmp_path):
    """The same tests, with no more than cibuildwheel gives them."""
    (archive,) = dist.glob("*.tar.gz")
    sources = unpack(archive, tmp_path / "sdist")
    environment = Environment(tmp_path)
    environment.pip("install", wheel, *SETTINGS["test-requires"])
    for name in SETTINGS["test-sources"]:
        (environment.empty / name).symlink_to(sources / name)
    command, *arguments = shlex.split(SETTINGS["test-command"])
    at = environment.empty
    told = check(run(environment.bin / command, *arguments, cwd=at))
    assert " passed" in told and " failed" not in told


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_cibuildwheel_builds_what_is_supported(processor):
    pytest.importorskip("cibuildwheel", reason="needs what 3.13t may not have")
    command = (sys.executable, "-m", "cibuildwheel", "--print-build-identifiers")
    options = ("--platform", "linux", "--archs", processor, ROOT)
    told = check(run(*command, *options, cwd=ROOT.parent))
    versions = ("cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t")
    assert sorted(told.split()) == sorted(
        f"{version}-{system}_{processor}"
        for version in versions
        for system in ("manylinux", "musllinux")
    )
