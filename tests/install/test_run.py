"""python -m futures_c runs a program as python does, on the native module."""

from __future__ import annotations

import signal

import pytest

HOOK = """\
import sys
sys.excepthook = lambda kind, error, traceback: print(error, traceback.tb_next)
raise KeyError(1)
"""
SHOW = """\
import sys
print(sys.argv[1:], __name__, __spec__ and __spec__.name, sys.flags.optimize)
print(sys.stdin.read())
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Some programs, in the current directory."""
    files = {
        "show.py": SHOW,
        "fails.py": "def f():\n    raise ValueError('x')\n\nf()\n",
        "bad.py": "x = = 1\n",
        "exits.py": "import sys\nsys.exit(int(sys.argv[1]))\n",
        "says.py": "import sys\nsys.exit('a text')\n",
        "hook.py": HOOK,
        "late.py": "import atexit\natexit.register(print, 'bye')\n1/0\n",
        "package/__init__.py": "print('package', __name__)\n",
        "package/__main__.py": SHOW,
        "package/module.py": SHOW + "raise OSError(5, 'no')\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "args",
    [
        ("show.py",),
        ("show.py", "a", "-m", "futures_c", "b c"),
        ("./show.py", "-c", ""),
        ("-O", "show.py", "-O"),
        ("-c", SHOW),
        ("-c", SHOW, "-c", "x"),
        ("-m", "package", "-m"),
        ("-m", "package.module", "x"),
        ("-mpackage",),
        ("-", "x"),
        ("fails.py",),
        ("bad.py",),
        ("-c", "1/0"),
        ("-c", "x = = 1"),
        ("exits.py", "0"),
        ("exits.py", "7"),
        ("says.py",),
        ("hook.py",),
        ("late.py",),
        ("missing.py",),
        ("-m", "missing"),
        ("package",),
        ("-c",),
        ("--no-such-option", "show.py"),
        ("-X", "utf8", "-W", "error", "show.py"),
    ],
    ids=" ".join,
)
def test_it_does_what_python_does(python, programs, args):
    stdin = "print('from stdin')" if args[0] == "-" else "input"
    plain = python(*args, stdin=stdin)
    ours = python("-m", "futures_c", *args, stdin=stdin)
    assert ours.returncode == plain.returncode, ours.describe()
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr


@pytest.mark.parametrize("before", [("-m",), ("-Bm",), ("-B", "-m"), ("-O", "-Bm")])
def test_options_before_it_are_the_programs(python, programs, before):
    code = (
        "import sys, concurrent.futures as cf;"
        "print(sys.flags.dont_write_bytecode, sys.flags.optimize, cf.Future.__module__)"
    )
    ran = python(*before, "futures_c", "-c", code).check()
    optimized = "1" if "-O" in before else "0"
    wrote = "0" if before == ("-m",) else "1"
    assert ran.stdout.split() == [wrote, optimized, "futures_c._base"]


def test_joined_options_work_too(python):
    code = "import concurrent.futures as cf; print(cf.Future.__module__)"
    assert python("-Bmfutures_c", "-c", code).check().lines == ["futures_c._base"]


def test_an_interrupt_ends_it_as_python(python):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    plain = python("-c", code)
    ours = python("-m", "futures_c", "-c", code)
    assert plain.returncode == ours.returncode == -signal.SIGINT
    assert plain.stderr == ours.stderr


WORKERS = """
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

def kind(module="concurrent.futures"):
    return ThreadPoolExecutor.__module__, __import__(module).__name__

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    print(kind()[0])
    with ProcessPoolExecutor(1, context) as pool:
        print(type(pool).__module__, pool.submit(kind).result()[0])
    with context.Pool(1) as pool:
        print(pool.apply(kind)[0])
    code = "import concurrent.futures as cf; print(cf.Future.__module__)"
    subprocess.run([sys.executable, "-c", code], check=True)
    print("FUTURES_C_INSTALL" in os.environ)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_run_on_it_and_other_programs_do_not(python, programs, method):
    (programs / "workers.py").write_text(WORKERS)
    env = {"PYTHONUNBUFFERED": "1"}
    ran = python("-m", "futures_c", "workers.py", method, env=env).check()
    assert ran.lines == [
        "futures_c.thread",
        "futures_c.process futures_c.thread",
        "futures_c.thread",
        "concurrent.futures._base",
        "False",
    ]


def test_help_and_no_program(python):
    shown = python("-m", "futures_c", "--help").check()
    assert shown.stdout.startswith("usage: python -m futures_c ")
    assert python("-m", "futures_c").check(2).stderr == shown.stdout


def test_without_site_it_says_what_is_missing(python):
    import futures_c

    root = futures_c.__path__[0].rpartition("/")[0]
    ran = python("-S", "-m", "futures_c", "-c", "1", env={"PYTHONPATH": root}).check(1)
    assert "futures_c.pth" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["-S"], True),
        (["-BS"], True),
        (["-W", "ignore", "-X", "utf8", "-Wignore", "-BXutf8", "-S"], True),
        (["--check-hash-based-pycs", "always", "-S"], True),
        (["-W", "S"], False),
        (["-XS", "--check-hash-based-pycs", "default"], False),
    ],
    ids=str,
)
def test_an_option_after_it_may_keep_it_from_switching(python, options, refused):
    code = "import concurrent.futures as cf; print(cf.Future.__module__)"
    ran = python("-m", "futures_c", *options, "-c", code, "-S")
    assert ran.lines == ([] if refused else ["futures_c._base"]), ran.describe()
    assert ("needs futures_c." in ran.stderr) == refused


# --- the environment variable -------------------------------------------------------

ASK = (
    "import sys; early = 'concurrent.futures' in sys.modules;"
    "import concurrent.futures as cf; print(early, cf.Future.__module__)"
)
TWICE = f"import subprocess, sys; {ASK}; sys.stdout.flush();" + (
    f"subprocess.run([sys.executable, '-c', {ASK!r}], check=True)"
)


@pytest.mark.parametrize(
    ("value", "first", "second"),
    [
        ("1", "futures_c._base", "futures_c._base"),
        ("once", "futures_c._base", "concurrent.futures._base"),
        ("0", "concurrent.futures._base", "concurrent.futures._base"),
        ("", "concurrent.futures._base", "concurrent.futures._base"),
        ("yes", "concurrent.futures._base", "concurrent.futures._base"),
    ],
)
def test_the_variable_says_who_is_switched(python, value, first, second):
    ran = python("-c", TWICE, env={"FUTURES_C_INSTALL": value}).check()
    assert ran.lines == [f"False {first}", f"False {second}"]


def test_the_variable_loads_nothing_but_the_hook(python):
    code = "import sys; print(*sorted(sys.modules))"
    plain = python("-c", code).check().stdout.split()
    hooked = python("-c", code, env={"FUTURES_C_INSTALL": "1"}).check().stdout.split()
    more = set(hooked) - set(plain)
    ours = {name for name in more if name.startswith("futures_c")}
    assert ours == {"futures_c", "futures_c._startup"}
    assert not {"concurrent", "multiprocessing", "threading", "logging"} & more


@pytest.mark.parametrize(
    "first", ["futures_c.thread", "futures_c._base", "futures_c.process", "asyncio"]
)
def test_whatever_comes_first_ours_are_built_on_the_standard_ones(python, first):
    code = (
        f"import {first}, concurrent.futures as cf, futures_c\n"
        "assert cf.ThreadPoolExecutor is futures_c.ThreadPoolExecutor\n"
        "bases = [one.__module__ for one in cf.ThreadPoolExecutor.__mro__]\n"
        "assert 'concurrent.futures.thread' in bases, bases\n"
        "assert cf.ThreadPoolExecutor(1).submit(abs, -1).result() == 1\n"
    )
    python("-c", code, env={"FUTURES_C_INSTALL": "1"}).check()
