"""install() and uninstall(): which names are replaced, when, and what is refused."""

from __future__ import annotations

import pytest


def test_every_name_is_the_native_one(script):
    script("""
        import concurrent.futures as cf
        import concurrent.futures._base, concurrent.futures.thread
        import concurrent.futures.process as kept
        import futures_c
        from futures_c import _base, process, thread

        standard = {name: getattr(cf, name) for name in cf.__all__}
        futures_c.install()
        for name in cf.__all__:
            assert getattr(cf, name) is getattr(futures_c, name), name
        # What ours take from the standard module stays what it was.
        assert cf.CancelledError is standard["CancelledError"]
        assert cf.Future is not standard["Future"]
        assert issubclass(cf.Future, standard["Future"])

        from concurrent.futures import ThreadPoolExecutor
        from concurrent.futures._base import Future, as_completed, wait
        from concurrent.futures.process import ProcessPoolExecutor
        from concurrent.futures.thread import ThreadPoolExecutor as other
        assert ThreadPoolExecutor is other is thread.ThreadPoolExecutor
        assert Future is _base.Future and wait is _base.wait
        assert as_completed is _base.as_completed
        assert ProcessPoolExecutor is process.ProcessPoolExecutor
        assert kept.ProcessPoolExecutor is ProcessPoolExecutor
        # Private names are those in use.
        assert cf.thread._threads_queues is thread._threads_queues
    """).check()


def test_what_is_not_loaded_yet_comes_native(script):
    script("""
        import sys
        import futures_c
        assert "concurrent.futures" not in sys.modules
        futures_c.install()
        import concurrent.futures.thread
        assert concurrent.futures.ThreadPoolExecutor is futures_c.ThreadPoolExecutor
        assert concurrent.futures.Future is futures_c.Future
    """).check()


def test_uninstall_leaves_no_trace(script):
    script("""
        import asyncio, multiprocessing.spawn, sys
        import concurrent.futures.process, concurrent.futures.thread
        import futures_c
        from concurrent.futures import Future

        # Load everything first: what a first use leaves is no trace of ours.
        futures_c.install(["__main__"])
        futures_c.uninstall()
        def picture():
            names = [n for n in sys.modules if n.startswith(("concurrent", "asyncio"))]
            names.append("multiprocessing.spawn")
            return {name: dict(vars(sys.modules[name])) for name in names}
        before = picture()
        meta_path = list(sys.meta_path)
        futures_c.install("*")
        assert Future is futures_c.Future
        futures_c.uninstall()
        assert Future is not futures_c.Future
        after = picture()
        assert before.keys() == after.keys()
        for name in before:
            assert before[name] == after[name], name
        assert sys.meta_path == meta_path
        assert not futures_c.status().installed
        futures_c.uninstall()
    """).check()


def test_what_somebody_has_replaced_since_stays(script):
    script("""
        import concurrent.futures as cf
        import futures_c
        futures_c.install()
        cf.wait = "mine"
        futures_c.uninstall()
        assert cf.wait == "mine"
        assert cf.Future is not futures_c.Future
    """).check()


def test_installing_twice_is_installing_once(script):
    script("""
        import concurrent.futures as cf
        kept = [cf.Future]
        import futures_c
        first = futures_c.install()
        second = futures_c.install()
        assert str(first) == str(second)
        futures_c.uninstall()
        assert cf.Future is kept[0]
    """).check()


# --- copies --------------------------------------------------------------------


@pytest.mark.parametrize(
    "listed",
    [
        '["user"]',
        '["user", "__main__"]',
        "[user]",
        "(name for name in ('user',))",
        '"*"',
    ],
)
def test_copies_are_replaced_where_the_caller_lists_them(script, tmp_path, listed):
    package = tmp_path / "user"
    package.mkdir()
    (package / "__init__.py").write_text("from concurrent.futures import Future as F\n")
    (package / "deep.py").write_text("from concurrent.futures import *\n")
    script(
        f"""
        import sys
        sys.path.insert(0, sys.argv[1])
        import user.deep
        import concurrent.futures
        import futures_c
        said = futures_c.install({listed})
        assert user.F is futures_c.Future
        assert user.deep.ThreadPoolExecutor is futures_c.ThreadPoolExecutor
        assert user.deep.wait is futures_c.wait
        assert {{"user", "user.deep"}} <= set(said.modules), said.modules
        assert "replaced in user.deep" in str(said)
        futures_c.uninstall()
        assert user.F is concurrent.futures.Future is not futures_c.Future
        """,
        str(tmp_path),
    ).check()


def test_a_copy_that_nobody_lists_is_too_late(script):
    script("""
        from concurrent.futures import ThreadPoolExecutor as Pool
        import concurrent.futures as cf
        import futures_c
        kept = cf.Future, cf.thread, cf.ThreadPoolExecutor
        try:
            futures_c.install()
        except RuntimeError as error:
            assert "too late" in str(error) and "__main__ has Pool" in str(error)
        else:
            raise AssertionError("it was installed")
        assert (cf.Future, cf.thread, cf.ThreadPoolExecutor) == kept
        assert not futures_c.status().installed
        futures_c.install(["__main__"])
        assert Pool is futures_c.ThreadPoolExecutor
    """).check()


def test_a_subclass_that_exists_is_too_late(script):
    script("""
        import concurrent.futures
        import futures_c
        class Mine(concurrent.futures.ThreadPoolExecutor):
            pass
        try:
            futures_c.install()
        except RuntimeError as error:
            assert "__main__.Mine is derived from a standard class" in str(error)
        else:
            raise AssertionError("it was installed")
        said = futures_c.install(["__main__"])
        assert "__main__.Mine" in said.standard, said
        with Mine() as pool:
            assert pool.submit(int).result() == 0
    """).check()


def test_modules_that_come_later_can_be_listed_later(script):
    script("""
        import types, sys
        import concurrent.futures as cf
        late = types.ModuleType("late")
        late.Pool = cf.ThreadPoolExecutor
        import futures_c
        futures_c.install()
        sys.modules["late"] = late
        assert "late.Pool" in futures_c.status().standard
        futures_c.install()
        assert late.Pool is not futures_c.ThreadPoolExecutor
        futures_c.install(["late"])
        assert late.Pool is futures_c.ThreadPoolExecutor
        assert "late.Pool" not in futures_c.status().standard
    """).check()


@pytest.mark.parametrize(
    ("modules", "error"),
    [
        ('"json"', "TypeError"),
        ("[1]", "TypeError"),
        ("5", "TypeError"),
        ('["no.such.module"]', "KeyError"),
    ],
)
def test_bad_modules_are_refused(script, modules, error):
    script(f"""
        import futures_c
        try:
            futures_c.install({modules})
        except {error} as error:
            assert "modules" in str(error) or "no.such.module" in str(error)
        else:
            raise AssertionError("it was installed")
        assert not futures_c.status().installed
    """).check()


def test_it_is_too_late_at_exit(script):
    ran = script("""
        import threading
        import futures_c
        def late():
            threading.main_thread().join()
            try:
                futures_c.install()
            except RuntimeError as error:
                print(error)
        threading.Thread(target=late).start()
    """).check()
    assert ran.lines == ["futures_c.install(): the interpreter is shutting down"]


# --- what was there before -------------------------------------------------------


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_executors_made_before_keep_working(script, kind):
    script(
        """
        import sys
        import concurrent.futures as cf
        import futures_c
        pool = getattr(cf, sys.argv[1])(2)
        first = pool.submit(abs, -1)
        futures_c.install(["__main__"])
        second = pool.submit(abs, -2)
        assert {f.result() for f in cf.as_completed([first, second])} == {1, 2}
        assert cf.wait([first, second]).done == {first, second}
        with getattr(cf, sys.argv[1])(2) as new:
            third = new.submit(abs, -3)
            assert type(third) is cf.Future is futures_c.Future
            assert len(cf.wait([first, second, third]).done) == 3
        futures_c.uninstall()
        fourth = pool.submit(abs, -4)
        assert cf.wait([first, third, fourth]).done == {first, third, fourth}
        pool.shutdown()
        """,
        kind,
    ).check()


@pytest.mark.parametrize("order", ["asyncio first", "install first", "uninstalled"])
def test_asyncio_takes_what_was_made_before(script, order):
    script(
        """
        import sys
        order = sys.argv[1]
        if order != "install first":
            import asyncio
        import concurrent.futures as cf
        import futures_c
        old_pool, old = cf.ThreadPoolExecutor(1), cf.Future()
        futures_c.install()
        new_pool, new = cf.ThreadPoolExecutor(1), cf.Future()
        assert isinstance(new_pool, futures_c.ThreadPoolExecutor)
        import asyncio
        if order == "uninstalled":
            futures_c.uninstall()

        async def main():
            loop = asyncio.get_running_loop()
            waits = [asyncio.wrap_future(old), asyncio.wrap_future(new)]
            old.set_result(1)
            new.set_result(2)
            assert await asyncio.gather(*waits) == [1, 2]
            for pool in (old_pool, new_pool):
                loop.set_default_executor(pool)
                assert await loop.run_in_executor(None, abs, -3) == 3
                assert await asyncio.to_thread(abs, -4) == 4
            try:
                loop.set_default_executor(1)
            except TypeError as error:
                assert "ThreadPoolExecutor" in str(error)
            else:
                raise AssertionError("1 is no executor")
        asyncio.run(main())

        async def default():
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, abs, -5) == 5
            return type(loop._default_executor)
        kind = asyncio.run(default())
        assert kind is cf.ThreadPoolExecutor, kind
        assert (kind is futures_c.ThreadPoolExecutor) == (order != "uninstalled")
        """,
        order,
    ).check()


def test_names_that_a_test_replaces_reach_asyncio(script):
    script("""
        import asyncio
        import concurrent.futures
        import futures_c
        from unittest import mock
        futures_c.install()
        for path in ("concurrent.futures", "asyncio.base_events.concurrent.futures"):
            with mock.patch(path + ".ThreadPoolExecutor") as pool:
                assert asyncio.base_events.concurrent.futures.ThreadPoolExecutor is pool
            seen = asyncio.base_events.concurrent.futures.ThreadPoolExecutor
            assert type(seen(1)) is futures_c.ThreadPoolExecutor
    """).check()


# --- other processes ----------------------------------------------------------------

WORKERS = """
import concurrent.futures
import multiprocessing
import sys

def kind():
    import concurrent.futures
    return concurrent.futures.Future.__module__.split(".")[0]

if __name__ == "__main__":
    import futures_c
    futures_c.install()
    context = multiprocessing.get_context(sys.argv[1])
    def ask():
        with context.Pool(1) as pool:
            return pool.apply(kind)
    assert ask() == "futures_c", ask()
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        assert pool.submit(kind).result() == "futures_c"
    futures_c.uninstall()
    assert ask() == "concurrent", ask()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_are_installed_like_their_parent(python, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    python(str(program), method).check()


# --- status -------------------------------------------------------------------------


def test_status_says_what_is_native(script):
    ran = script("""
        import sys
        import futures_c
        said = futures_c.status()
        assert not said.installed and said.native == [] and said.reason == ""
        futures_c.install()
        said = futures_c.status()
        assert said.installed
        names = {"Future", "ProcessPoolExecutor", "ThreadPoolExecutor",
                 "as_completed", "wait"}
        if sys.version_info >= (3, 14):
            names.add("InterpreterPoolExecutor")
            assert said.standard == {}
        else:
            assert list(said.standard) == ["concurrent.futures.InterpreterPoolExecutor"]
        assert set(said.native) == {"concurrent.futures." + name for name in names}
        print(said)
        assert "installed" in repr(said)
    """).check()
    assert ran.lines[0] == "futures_c is installed"
    assert "native    concurrent.futures.Future" in ran.lines


def test_patched_threads_keep_the_standard_module(script):
    ran = script("""
        import _thread, threading
        import concurrent.futures as cf
        kept = [cf.ThreadPoolExecutor]
        start = _thread.start_new_thread
        def start_new_thread(*args, **kwargs):
            return start(*args, **kwargs)
        start_new_thread.__module__ = "gevent.thread"
        _thread.start_new_thread = start_new_thread
        import futures_c
        said = futures_c.install()
        assert not said.installed and said.native == []
        assert cf.ThreadPoolExecutor is kept[0]
        print(said.reason)
        print(said)
        _thread.start_new_thread = start
        assert futures_c.install().installed
        assert futures_c.status().reason == ""
    """).check()
    assert ran.lines[0] == "threading is monkey-patched by gevent"
    assert ran.lines[1] == f"futures_c is not installed: {ran.lines[0]}"
