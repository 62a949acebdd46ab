"""The start-up file: found by every version, run once, without a word."""

from __future__ import annotations

import compileall
import concurrent
import shutil
import sys
from pathlib import Path

import pytest

import futures_c

ROOT = Path(__file__).resolve().parents[2]
SITE = str(Path(futures_c.__file__).resolve().parents[1])

#: What a start-up file must not cause: -X dev shows all warnings.
STRICT = ("-X", "dev", "-W", "error")

# Reads start-up files in a directory of their own, as site does at the start.
READ = f"""
import site, sys
sys.path.append({SITE!r})
from futures_c import _startup
calls = []
_startup.begin = lambda: calls.append("begun")
site.addsitedir(sys.argv[1])
print(*calls)
"""

start_files = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="Python 3.15 began to read .start files"
)
import_lines = pytest.mark.skipif(
    sys.version_info >= (3, 18), reason="Python 3.18 passes over import lines"
)


def test_the_installed_one_switches_once_and_in_silence(python):
    code = """if True:
        import sys
        kinds = [type(one).__module__ for one in sys.meta_path]
        print(kinds.count("futures_c._startup"))
        import concurrent.futures as cf
        print(cf.Future.__module__)
    """
    ran = python(*STRICT, "-c", code, env={"FUTURES_C_INSTALL": "1"}).check()
    assert ran.lines == ["1", "futures_c._base"]
    assert ran.stderr == ""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["futures_c.pth"], marks=import_lines),
        pytest.param(["futures_c.start"], marks=start_files),
        # Where there are both, the line is passed over.
        pytest.param(["futures_c.pth", "futures_c.start"], marks=start_files),
    ],
    ids=" and ".join,
)
def test_each_runs_once_and_in_silence(python, tmp_path, names):
    for name in names:
        shutil.copy(ROOT / name, tmp_path)
    env = {"FUTURES_C_INSTALL": "1"}
    ran = python(*STRICT, "-I", "-c", READ, str(tmp_path), env=env).check()
    assert ran.lines == ["begun"]
    assert ran.stderr == ""


@start_files
@pytest.mark.parametrize(
    ("value", "kind"),
    [("1", "futures_c._base"), ("", "concurrent.futures._base")],
)
def test_the_start_file_heeds_the_variable(python, tmp_path, value, kind):
    shutil.copy(ROOT / "futures_c.start", tmp_path)
    code = (
        f"import site, sys; sys.path.append({SITE!r}); site.addsitedir(sys.argv[1]);"
        "import concurrent.futures as cf; print(cf.Future.__module__)"
    )
    env = {"FUTURES_C_INSTALL": value}
    # Without -S the installed .pth would have done it before.
    ran = python(*STRICT, "-I", "-S", "-c", code, str(tmp_path), env=env).check()
    assert ran.lines == [kind]
    assert ran.stderr == ""


@pytest.mark.parametrize("archived", [False, True], ids=["files", "archive"])
def test_a_standard_library_that_is_stored_as_bytecode(python, tmp_path, archived):
    """As where room is short, and in the embeddable distribution."""
    library = tmp_path / "library"
    shutil.copytree(
        Path(concurrent.__path__[0]),
        library / "concurrent",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    assert compileall.compile_dir(library, quiet=1, legacy=True)
    for source in library.rglob("*.py"):
        source.unlink()
    if archived:
        library = Path(shutil.make_archive(str(library), "zip", library))
    env = {"FUTURES_C_INSTALL": "1", "PYTHONPATH": str(library)}
    code = """if True:
        import concurrent.futures as cf
        print(cf.__file__.endswith(".pyc"), cf.Future.__module__)
        print(type(cf.__loader__).__module__.startswith("futures_c"))
    """
    ran = python(*STRICT, "-c", code, env=env).check()
    assert ran.lines == ["True futures_c._base", "False"]


@pytest.mark.parametrize("where", ["atexit", "thread"])
def test_what_is_imported_at_exit_is_the_standard_module(python, where):
    """asyncio runs there with it; ours could load no thread pool any more."""
    code = f"""if True:
        import atexit, sys, threading
        def end():
            import asyncio
            asyncio.run(asyncio.sleep(0))
            import concurrent.futures, futures_c
            print(concurrent.futures.Future.__module__)
            print(futures_c.status().reason)
        def wait_and_end():
            threading.main_thread().join()
            end()
        if {where!r} == "thread":
            threading.Thread(target=wait_and_end).start()
        else:
            atexit.register(end)
    """
    ran = python(*STRICT, "-c", code, env={"FUTURES_C_INSTALL": "1"}).check()
    assert ran.lines == [
        "concurrent.futures._base",
        "the interpreter was shutting down",
    ]


# While the main thread replaces the names, within the import of the package, another
# one is at the import of a submodule, and waits for the package.
CROSSING = """if True:
    import sys, threading, time
    from importlib import _bootstrap

    def on_import(event, args):
        if event == "import" and args[0] == "futures_c._install" and not started:
            started.append(1)
            other.start()
            while not _bootstrap._blocking_on.get(other.ident):
                time.sleep(0.001)

    def import_it():
        __import__(sys.argv[1])
        imported.append(sys.argv[1])

    started, imported = [], []
    other = threading.Thread(target=import_it)
    sys.addaudithook(on_import)
    from concurrent.futures import Future, ProcessPoolExecutor
    other.join()
    print(*imported, Future.__module__, ProcessPoolExecutor.__module__)
    import concurrent.futures.process, futures_c
    print(concurrent.futures.process.__name__, futures_c.status().installed)
"""


@pytest.mark.parametrize("name", ["process", "thread"])
def test_another_thread_imports_a_submodule_meanwhile(python, name):
    name = f"concurrent.futures.{name}"
    ran = python("-c", CROSSING, name, env={"FUTURES_C_INSTALL": "1"}).check()
    assert ran.lines == [
        f"{name} futures_c._base futures_c.process",
        "futures_c.process True",
    ]
