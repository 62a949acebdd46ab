"""gevent and eventlet: where they patch threads, the standard module stays.

Real programs in interpreters of their own, which patch before or after
``concurrent.futures`` is imported, and are switched in each way that there is.
"""

from __future__ import annotations

import importlib.util

import pytest

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
# What lets other greenlets run, and ours later.
SPAWN = {"gevent": "import gevent as lib", "eventlet": "import eventlet as lib"}

WAYS = ("variable", "module", "install", "install late")

PROGRAM = """
import _thread, socket, time
import concurrent.futures as cf
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
{spawn}

main = _thread.get_native_id()
ticks = []

def tick():
    for _ in range(3):
        lib.sleep(0)
        ticks.append(1)

def where():
    return _thread.get_native_id()

left, right = socket.socketpair()
other = lib.spawn(tick)
for pool_class in (ThreadPoolExecutor, cf.ThreadPoolExecutor):
    with pool_class(3) as pool:
        # A call that blocks, and one that lets it go on.
        first = pool.submit(left.recv, 1)
        second = pool.submit(right.sendall, b"x")
        assert first.result(20) == b"x" and second.result(20) is None
        assert list(pool.map(abs, [-1, -2], timeout=20)) == [1, 2]
        naps = [pool.submit(time.sleep, 0.01) for _ in range(6)]
        assert len(list(as_completed(naps, 20))) == 6
        assert not wait(naps, 20).not_done
        # Threads are greenlets of this one.
        assert pool.submit(where).result(20) == main
left.close()
right.close()
assert len(ticks) == 3
"""


def needs(name):
    """Skip the test without it; not imported here, where it would stay."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: see the extras of pyproject.toml")


@pytest.fixture(params=sorted(PATCHES))
def library(request):
    needs(request.param)
    return request.param


@pytest.fixture
def run(python):
    """Run lines of code, switched one way; what they print."""

    def run(way, *lines):
        lines = list(lines)
        env = {"FUTURES_C_INSTALL": "1"} if way == "variable" else {}
        args = ["-m", "futures_c"] if way == "module" else []
        if way == "install":
            lines.insert(0, "import futures_c; futures_c.install()")
        # eventlet warns of itself.
        return python(
            "-P", "-W", "ignore", *args, "-c", "\n".join(lines), env=env
        ).check()

    return run


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["patched first", "imported first"])
def test_programs_that_patch_go_on_with_the_standard_module(run, library, way, order):
    lines = [
        PATCHES[library],
        "from concurrent.futures import Future, ThreadPoolExecutor",
    ]
    if order == "imported first":
        lines.reverse()
    ran = run(
        way,
        *lines,
        PROGRAM.format(spawn=SPAWN[library]),
        "import futures_c",
        "said = futures_c.install() if {late} else futures_c.status()".format(
            late=way == "install late"
        ),
        "assert not said.installed and said.native == [], said",
        "assert cf.Future is Future and cf.Future.__module__ == cf._base.__name__",
        "print(said.reason)",
    )
    assert ran.lines == [f"threading is monkey-patched by {library}"]


def test_a_class_derived_before_says_so_instead_of_blocking(run, library):
    ran = run(
        "variable",
        "from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor",
        "class Mine(ThreadPoolExecutor): pass",
        "class Other(ProcessPoolExecutor): pass",
        PATCHES[library],
        "import futures_c",
        "print(sorted(futures_c.status().native))",
        "for cls in (Mine, Other):",
        "    with cls(1) as pool:",
        "        try:",
        "            pool.submit(abs, -1)",
        "        except RuntimeError as error:",
        "            print(str(error).partition(':')[0])",
    )
    reason = f"threading is monkey-patched by {library}"
    assert ran.lines == ["['__main__.Mine', '__main__.Other']", reason, reason]


def test_uninstalled_nothing_watches(run, library):
    """Nothing of ours is left in the library, and patching brings nothing back."""
    ran = run(
        "install",
        "import concurrent.futures as cf",
        SPAWN[library],
        "import gevent.events" if library == "gevent" else "import eventlet.patcher",
        "futures_c.uninstall()",
        "before = cf.ThreadPoolExecutor",
        PATCHES[library],
        "assert cf.ThreadPoolExecutor is before",
        "print(repr(futures_c.status().reason))",
    )
    assert ran.lines == ["''"]


def test_the_library_alone_changes_nothing(run, library):
    """Programs that use it and patch nothing run on the native module."""
    ran = run(
        "variable",
        SPAWN[library],
        "import concurrent.futures as cf",
        "with cf.ThreadPoolExecutor(1) as pool:",
        "    print(pool.submit(abs, -1).result(20), cf.ThreadPoolExecutor.__module__)",
        "if hasattr(lib, 'monkey_patch'):",
        "    lib.monkey_patch(os=True)",
        "else:",
        "    from gevent import monkey; monkey.patch_os()",
        "print(cf.ThreadPoolExecutor.__module__)",
    )
    assert ran.lines == ["1 futures_c.thread", "futures_c.thread"]


THREAD_POOL = """
import concurrent.futures as cf
import futures_c
import gevent.threadpool
pool_class = gevent.threadpool.ThreadPoolExecutor
with pool_class(2) as pool:
    first, second = pool.submit(abs, -1), pool.submit(abs, -2)
    assert list(pool.map(abs, [-3, -4])) == [3, 4]
    assert (first.result(20), second.result(20)) == (1, 2)
    for module in (cf, futures_c):
        done, not_done = module.wait([first, second], 20)
        assert done == {first, second} and not not_done
        assert len(list(module.as_completed([first, second], 20))) == 2
    print(pool_class.__mro__[1].__module__)
"""


@pytest.mark.parametrize(
    ("lines", "base"),
    [
        ([], "futures_c.thread"),
        ([PATCHES["gevent"]], "concurrent.futures.thread"),
        (["import gevent.threadpool", PATCHES["gevent"]], "futures_c.thread"),
    ],
    ids=["not patched", "patched", "derived, then patched"],
)
def test_the_thread_pool_of_gevent(run, lines, base):
    """It is derived from the class that is in use, and has threads of its own."""
    needs("gevent")
    assert run("variable", *lines, THREAD_POOL).lines == [base]


def test_waiting_for_futures_of_gevents_thread_pool(run):
    """They end while greenlets wait in the standard wait() and as_completed()."""
    needs("gevent")
    ran = run(
        "variable",
        PATCHES["gevent"],
        "import concurrent.futures as cf, gevent.event, gevent.threadpool, threading",
        "go = monkey.get_original('threading', 'Lock')()",
        "go.acquire()",
        "with gevent.threadpool.ThreadPoolExecutor(2) as pool:",
        "    calls = [pool.submit(go.acquire), pool.submit(abs, -1)]",
        "    print([one.result() for one in cf.wait(calls, 20, 'FIRST_COMPLETED')[0]])",
        "    gevent.spawn(go.release)",
        "    print(len(list(cf.as_completed(calls, 20))))",
    )
    assert ran.lines == ["[1]", "2"]


def test_the_pool_of_threads_of_eventlet(run):
    needs("eventlet")
    ran = run(
        "variable",
        PATCHES["eventlet"],
        "import concurrent.futures as cf, eventlet.tpool as tpool",
        "def work():",
        "    with cf.ThreadPoolExecutor(1) as pool:",
        "        return pool.submit(abs, -1).result(20)",
        "print(tpool.execute(abs, -2), work())",
        "tpool.killall()",
    )
    assert ran.lines == ["2 1"]
