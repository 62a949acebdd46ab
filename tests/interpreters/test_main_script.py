"""Functions and classes of the main script, however that is run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
from support.subproc import run_command

#: A script that uses its own names on both sides; {name} is the module under test.
SCRIPT = """
import sys
import {name} as futures

COUNT = 0

class Thing:
    def __init__(self, value):
        self.value = value
    def doubled(self):
        return Thing(2 * self.value)

class Trouble(Exception):
    pass

def begin(value):
    global COUNT
    COUNT = value

def count(by):
    global COUNT
    COUNT += by
    return COUNT, [Thing(by)]

def stateless(x):
    return x, 1

def fail():
    raise Trouble("text", Thing(3))

def where():
    return __name__, COUNT

def nested(x):
    with futures.InterpreterPoolExecutor(1, initializer=begin, initargs=(5,)) as pool:
        return pool.submit(count, x).result()[0], pool.submit(where).result()

if __name__ == "__main__":
    with futures.InterpreterPoolExecutor(1) as pool:
        print(pool.submit(stateless, 3).result())
        print(pool.submit(lambda x: [x], 3).result())
    with futures.InterpreterPoolExecutor(
        1, initializer=begin, initargs=(10,)
    ) as pool:
        print(pool.submit(count, 1).result()[0], pool.submit(count, 2).result()[0])
        thing = pool.submit(count, 4).result()[1][0]
        print(type(thing) is Thing, thing.value)
        thing = pool.submit(Thing(4).doubled).result()
        print(type(thing) is Thing, thing.value)
        print(type(pool.submit(Thing, 4).result()) is Thing)
        error = pool.submit(fail).exception()
        print(type(error) is Trouble, error.args[0], type(error.args[1]) is Thing)
        print(pool.submit(where).result())
        print(pool.submit(nested, 1).result())
        print(COUNT, sys.argv[1:])
"""

EXPECTED = [
    "(3, 1)",
    "[3]",
    "11 13",
    "True 4",
    "True 8",
    "True",
    "True text True",
    "('<fake __main__>', 17)",
    "(6, ('<fake __main__>', 6))",
    "0 ['a', 'b']",
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run python in the test's directory, not in the checkout."""
    monkeypatch.chdir(tmp_path)

    def run(*args, stdin="", path=None):
        env = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        }
        env["PYTHONUNBUFFERED"] = "1"
        if path is not None:
            env["PYTHONPATH"] = str(path)
        command = [sys.executable, "-X", "faulthandler", *args]
        return run_command(command, env, stdin=stdin)

    return run


@pytest.fixture
def source(futures):
    return SCRIPT.format(name=futures.__name__)


@pytest.fixture(autouse=True)
def _not_the_standard_one(futures):
    """Globals that a function sets are lost with the standard module."""
    if futures.__name__ == "concurrent.futures":
        pytest.skip("there, what sets a global sets it nowhere")


@pytest.mark.parametrize("name", ["script.py", "script", "my script.txt"])
def test_a_script_by_its_path(run, source, tmp_path, name):
    path = tmp_path / name
    path.write_text(source)
    assert run(str(path), "a", "b").check().lines == EXPECTED


def test_a_script_by_a_relative_path(run, source, tmp_path):
    (tmp_path / "script.py").write_text(source)
    assert run("script.py", "a", "b").check().lines == EXPECTED


def test_a_module_by_its_name(run, source, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "tool.py").write_text(
        source.replace("import sys\n", "import sys\nfrom . import helper\n")
    )
    (tmp_path / "package" / "helper.py").touch()
    ran = run("-m", "package.tool", "a", "b", path=tmp_path)
    assert ran.check().lines == EXPECTED


def test_a_directory(run, source, tmp_path):
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__main__.py").write_text(source)
    assert run(str(tmp_path / "tool"), "a", "b").check().lines == EXPECTED


def test_an_archive(run, source, tmp_path):
    path = tmp_path / "tool.pyz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", source)
    assert run(str(path), "a", "b").check().lines == EXPECTED


def test_a_sibling_of_the_script(run, futures, tmp_path):
    (tmp_path / "sibling.py").write_text("state = []\ndef get(): return len(state)\n")
    (tmp_path / "script.py").write_text(
        f"import {futures.__name__} as futures, sibling\n"
        "def mine(): return sibling.get()\n"
        "if __name__ == '__main__':\n"
        "    with futures.InterpreterPoolExecutor(1) as pool:\n"
        "        print(pool.submit(mine).result(), pool.submit(sibling.get).result())\n"
    )
    assert run(str(tmp_path / "script.py")).check().lines == ["0 0"]


WITHOUT_FILE = """
import {name} as futures
STATE = 1
def stateless(x): return x + 1
def reads(): return STATE
if __name__ == "__main__":
    with futures.InterpreterPoolExecutor(1) as pool:
        print(pool.submit(stateless, 3).result(), pool.submit(lambda: 5).result())
        error = pool.submit(reads).exception()
        print(type(error).__name__, error.__cause__)
        print(pool.submit(stateless, 4).result())
"""


@pytest.mark.parametrize("way", ["-c", "stdin", "-"])
def test_a_program_without_a_file(run, futures, way):
    """What needs nothing of it runs; the rest says why not."""
    source = WITHOUT_FILE.format(name=futures.__name__)
    if way == "-c":
        ran = run("-c", source)
    else:
        ran = run(*["-"] * (way == "-"), stdin=source)
    first, second, third = ran.check().lines
    assert first == "4 5" and third == "5"
    assert second.startswith("NotShareableError ")
    assert "the main program has no file to be run again" in second


UNGUARDED = """
import {name} as futures
STATE = 1
def reads(): return STATE
def stateless(): return 2
with futures.InterpreterPoolExecutor(1) as pool:
    print(pool.submit(stateless).result(), flush=True)
    error = pool.submit(reads).exception()
    print(type(error).__name__, getattr(error, "__cause__", None), flush=True)
"""


def test_a_script_without_a_guard_ends(run, futures, tmp_path):
    """It makes a pool while it is run again for one, and is told so."""
    path = tmp_path / "script.py"
    path.write_text(UNGUARDED.format(name=futures.__name__))
    lines = run(str(path)).check().lines
    # Here, and there; the call itself then has its result.
    assert lines[0] == lines[1] == "2"
    assert 'if __name__ == "__main__":' in lines[2]
    assert lines[3].startswith("NoneType None")


def test_a_script_that_fails_when_it_is_run_again(run, futures, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        f"import {futures.__name__} as futures\n"
        "STATE = 1\n"
        "def reads(): return STATE\n"
        "if __name__ != '__main__': raise ValueError('not twice')\n"
        "with futures.InterpreterPoolExecutor(1) as pool:\n"
        "    for _ in range(2):\n"
        "        error = pool.submit(reads).exception()\n"
        "        print(type(error).__name__, error.__cause__)\n"
        "    print(pool.submit(abs, -1).result())\n"
    )
    lines = run(str(path)).check().lines
    assert [line.split()[0] for line in lines] == ["NotShareableError"] * 2 + ["1"]
    assert "ValueError: not twice" in lines[0]
    assert "ValueError: not twice" in lines[1]


def test_a_path_that_the_program_has_added(run, futures, tmp_path):
    """It is not there; a function that needs nothing of its module runs."""
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "added.py").write_text(
        "state = 1\ndef needs(): return state\ndef does_not(): return 3\n"
    )
    (tmp_path / "script.py").write_text(
        f"import {futures.__name__} as futures, os, sys\n"
        "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'apart'))\n"
        "import added\n"
        "if __name__ == '__main__':\n"
        "    with futures.InterpreterPoolExecutor(1) as pool:\n"
        "        print(pool.submit(added.does_not).result())\n"
        "        print(pool.submit(added.needs).exception().__cause__)\n"
        "        add = lambda path: __import__('sys').path.insert(0, path)\n"
        "        pool.submit(add, sys.path[0]).result()\n"
        "        print(pool.submit(added.needs).result())\n"
    )
    lines = run(str(tmp_path / "script.py")).check().lines
    assert lines[0] == "3" and lines[2] == "1"
    assert "No module named 'added'" in lines[1]


@pytest.mark.parametrize("installed", [False, True])
def test_the_package_itself_may_be_on_an_added_path(futures, tmp_path, installed):
    """The interpreters find it all the same."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(futures.__file__)))
    source = (
        f"import sys; sys.path.append({root!r})\n"
        "import futures_c\n"
        f"{installed} and futures_c.install()\n"
        "class A: pass\n"
        "with futures_c.InterpreterPoolExecutor(1) as pool:\n"
        "    print(pool.submit(lambda: 3).result())\n"
        "    print(type(pool.submit(lambda: [][1]).exception()).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", source],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["3", "IndexError"], done.stderr
