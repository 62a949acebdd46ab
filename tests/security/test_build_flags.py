"""How a release is compiled and linked: the flags, and what came of them."""

from __future__ import annotations

import platform
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

import pytest
from support.elf import Library
from support.packages import copy_checkout, run
from support.sanitizers import BUILT_IN

from futures_c import _native

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads ELF files"
)

#: What guards of this compiler and processor there are to ask for.
COMPILING = [
    "-D_FORTIFY_SOURCE=2",
    "-fstack-protector-strong",
    "-fstack-clash-protection",
]
LINKING = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
X86 = platform.machine() == "x86_64"

#: Compiles nothing that takes time, and writes down what it was asked.
COMPILER = """#!/bin/sh
printf '%s\\n' "$*" >> "{log}"
for word; do
  case $word in
    *probe*) exec gcc "$@" ;;
  esac
done
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || : > "$2"
  shift
done
"""


@pytest.fixture
def asked(tmp_path):
    """Run setup.py build_ext; give what the compiler was asked, line by line."""
    pytest.importorskip("setuptools", reason="it builds the package")
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    include = Path(sysconfig.get_path("include"), "Python.h")
    if not include.exists():
        pytest.skip(f"there is no {include}")
    checkout = copy_checkout(tmp_path / "checkout")
    log = tmp_path / "log"
    compiler = tmp_path / "cc"
    compiler.write_text(COMPILER.format(log=log))
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)

    def asked(**env):
        log.write_text("")
        env = {"CC": str(compiler), "LDSHARED": f"{compiler} -shared", **env}
        command = (sys.executable, "setup.py", "-q", "build_ext")
        done = run(*command, cwd=checkout, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return [line for line in log.read_text().splitlines() if "probe" not in line]

    return asked


def compiled(lines):
    """What files were compiled with, without what the interpreter was built with."""
    found = [
        line.partition("-std=c11")[2].split() for line in lines if "-c src/" in line
    ]
    assert len(found) > 50
    return found


def test_every_file_of_a_release_is_compiled_with_them(asked):
    lines = asked()
    for words in compiled(lines):
        assert set(COMPILING) <= set(words)
        # Fortification is for what is optimized.
        assert [word for word in words if word.startswith("-O")] == ["-O3"]
        assert ("-fcf-protection" in words) == X86
    (linked,) = (line for line in lines if "-c src/" not in line)
    assert set(LINKING) <= set(linked.split()), linked
    assert "rpath" not in linked


def test_a_build_that_looks_for_faults_goes_without(asked):
    """Sanitizers and fortification do not see the same calls.

    And it is built, although there are files of another build.
    """
    asked()
    for env in ({"FUTURES_C_DEBUG": "1"}, {"FUTURES_C_SANITIZE": "undefined"}):
        for words in compiled(asked(**env)):
            assert not set(COMPILING) & set(words)


def test_who_asks_for_another_level_of_fortification_gets_it(asked):
    lines = asked(CFLAGS="-O3 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
    for words in compiled(lines):
        assert "-D_FORTIFY_SOURCE=2" not in words
        assert "-fstack-protector-strong" in words


def test_the_extension_has_what_was_asked_for():
    library = Library(Path(_native.__file__))
    if BUILT_IN or "__assert_fail" in library.wanted():
        pytest.skip("it was built to find faults")
    assert library.weaknesses() == []


@pytest.mark.parametrize(
    ("flags", "weakness"),
    [
        ("", None),
        ("-Wl,-z,lazy", "functions are bound when they are first called"),
        ("-Wl,-z,norelro", "what was relocated stays writable"),
        ("-Wl,-z,execstack", "the stack can be executed"),
        ("-nostdlib -Wl,--omagic", "something is writable and can be executed"),
        ("-Wl,-rpath,/somewhere", "it brings a path to look for libraries along"),
        ("-fno-stack-protector", "nothing looks after the stack"),
        ("-fcf-protection=none", "jumps and returns may lead anywhere"),
    ],
)
def test_each_weakness_is_seen(tmp_path, flags, weakness):
    """A library that lacks one thing, by the flag that takes it away."""
    if shutil.which("gcc") is None or not X86:
        pytest.skip("needs gcc for x86_64")
    source = tmp_path / "weak.c"
    source.write_text(
        "int puts(const char *);\n"
        "int speak(void) { char text[64]; puts(text); return text[7]; }\n"
    )
    library = tmp_path / "weak.so"
    command = "gcc -shared -fPIC -w -O1 -fstack-protector-strong -fcf-protection"
    command += f" -Wl,-z,relro -Wl,-z,now {flags} {source} -o {library}"
    done = run(*command.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = Library(library).weaknesses()
    if weakness is None:
        assert found == []
    else:
        assert weakness in found
