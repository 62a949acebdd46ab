"""install() while other threads import, fork and use asyncio, and interrupted."""

from __future__ import annotations

import textwrap

import pytest

#: Calls one function in many threads at the same time, each with its number.
RACE = """
import sys, threading
sys.setswitchinterval(1e-5)

def race(call, count):
    start = threading.Barrier(count)
    failed = []
    def run(k):
        start.wait()
        try:
            call(k)
        except BaseException as error:
            failed.append(repr(error))
    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed

"""

ROUNDS = pytest.mark.parametrize("_", range(4), ids=lambda i: f"round{i}")


@ROUNDS
def test_many_threads_install_at_the_same_time(script, _):
    script(
        RACE
        + textwrap.dedent("""
        import futures_c
        def call(k):
            if k == 0:
                import concurrent.futures.process
            elif k == 1:
                import asyncio
            else:
                assert futures_c.install().installed
                from concurrent.futures import Future
                assert Future is futures_c.Future, Future
        race(call, 8)

        # Whether it was loaded before, after or meanwhile.
        import asyncio
        def picture():
            return {
                asyncio.wrap_future,
                asyncio.futures.wrap_future,
                asyncio.futures.concurrent.futures.Future,
                asyncio.base_events.concurrent.futures.ThreadPoolExecutor,
            }
        native = picture()
        assert asyncio.wrap_future is asyncio.futures.wrap_future
        futures_c.uninstall()
        assert asyncio.wrap_future is asyncio.futures.wrap_future
        standard = picture()
        assert len(native) == len(standard) == 3 and not native & standard
        futures_c.install()
        assert len(picture()) == 3 and not picture() & standard
    """)
    ).check()


@ROUNDS
def test_many_threads_import_what_is_to_be_installed(script, _):
    """As in a program under FUTURES_C_INSTALL: who imports it installs it."""
    script(
        RACE
        + textwrap.dedent("""
        from futures_c import _startup
        _startup.install_later()
        def call(k):
            if k == 0:
                import concurrent.futures.process
            elif k == 1:
                import concurrent.futures.thread
            elif k == 2:
                import asyncio
            elif k == 3:
                import multiprocessing.spawn
            elif k == 4:
                from futures_c import install
                assert install().installed
            elif k == 5:
                from futures_c import ThreadPoolExecutor
            else:
                from concurrent.futures import Future
        race(call, 7)

        import asyncio, concurrent.futures as cf
        import futures_c
        assert futures_c.status().installed
        for name in cf.__all__:
            assert getattr(cf, name) is getattr(futures_c, name), name
        assert cf.thread is futures_c.thread and cf.process is futures_c.process
        assert asyncio.wrap_future.__module__ == "futures_c._install"
        with cf.ThreadPoolExecutor(1) as pool:
            assert pool.submit(abs, -3).result() == 3
    """)
    ).check()


def test_asyncio_takes_both_kinds_at_any_moment(script):
    """In the middle of install() and of uninstall(), as another thread sees it."""
    script("""
        import asyncio, concurrent.futures as cf
        import futures_c
        from futures_c import _install

        kinds = [cf.Future, futures_c.Future]
        pools = [cf.ThreadPoolExecutor(1), futures_c.ThreadPoolExecutor(1)]
        seen = 0
        def look():
            global seen
            seen += 1
            for kind in kinds:
                known = asyncio.futures.concurrent.futures.Future
                assert isinstance(kind(), known), (kind, known)
            for pool in pools:
                known = asyncio.base_events.concurrent.futures.ThreadPoolExecutor
                assert isinstance(pool, known), (pool, known)

        put = _install._put
        def put_and_look(*arguments):
            put(*arguments)
            look()
        _install._put = put_and_look
        futures_c.install("*")
        assert seen > 10
        seen = 0
        undo = _install._state.undo
        for i, step in enumerate(undo):
            def step_and_look(step=step):
                step()
                look()
            undo[i] = step_and_look
        futures_c.uninstall()
        assert seen > 10
    """).check()


def test_a_child_forked_while_another_thread_installs(script):
    script("""
        import os, threading, time
        import futures_c
        from futures_c import _install
        held = threading.Event()
        def hold():
            with _install._lock:
                held.set()
                # The fork waits for it.
                time.sleep(0.2)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = os.fork()
        if pid == 0:
            futures_c.install()
            import asyncio
            futures_c.status()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        thread.join()
        assert futures_c.install().installed
    """).check()


def test_what_says_that_it_is_a_future_of_ours(script):
    """As wrapt's proxies and mocks do."""
    script("""
        import asyncio, concurrent.futures as cf
        import futures_c
        futures_c.install()

        class Proxy:
            def __init__(self, future):
                self.__dict__["future"] = future
            __class__ = property(lambda self: type(self.future))
            def __getattr__(self, name):
                return getattr(self.future, name)
            def __setattr__(self, name, value):
                setattr(self.future, name, value)

        class Pool(cf.ThreadPoolExecutor):
            def submit(self, *args, **kwargs):
                return Proxy(super().submit(*args, **kwargs))

        async def main():
            with Pool(1) as pool:
                assert isinstance(pool.submit(abs, 1), cf.Future)
                assert await asyncio.wrap_future(pool.submit(abs, -3)) == 3
                loop = asyncio.get_running_loop()
                assert await loop.run_in_executor(pool, abs, -4) == 4
        asyncio.run(main())
    """).check()


@pytest.mark.parametrize("interrupted", ["install", "uninstall"])
def test_ctrl_c_in_the_middle_leaves_nothing_half_done(script, interrupted):
    """At each line that replaces a name or brings it back."""
    script(
        """
        import asyncio, multiprocessing.spawn as spawn, sys
        import concurrent.futures as cf
        import concurrent.futures.process, concurrent.futures.thread
        from concurrent.futures import Future as copy, wait as another
        import futures_c
        from futures_c import _install, _startup

        def picture():
            whole = {"copy": copy, "another": another}
            for module in cf, asyncio.futures, asyncio.base_events, asyncio, spawn:
                whole |= {(module.__name__, k): v for k, v in vars(module).items()}
            names = [n for n in sys.modules if n.startswith("concurrent.futures")]
            return whole | {n: sys.modules[n] for n in names}, list(sys.meta_path)

        def differing():
            now, was = picture(), standard
            return [k for k in now[0] if now[0][k] is not was[0].get(k)] + (
                ["meta_path"] if now[1] != was[1] else []
            )

        looked_through = {"_copies", "_is_ours", "_covers", "_load", "_load_all"}
        def interrupt(at, function, *arguments):
            left = at
            def trace(frame, event, _):
                code = frame.f_code
                if (
                    not code.co_filename.endswith(("_install.py", "_startup.py"))
                    or code.co_name in looked_through
                ):
                    return None
                def each(frame, event, _):
                    nonlocal left
                    if event == "line":
                        left -= 1
                        if left == 0:
                            sys.settrace(None)
                            raise KeyboardInterrupt
                    return each
                return each
            sys.settrace(trace)
            try:
                function(*arguments)
            except KeyboardInterrupt:
                return True
            finally:
                sys.settrace(None)
            return False

        futures_c.install("*")
        futures_c.uninstall()
        standard = picture()
        futures_c.install("*")
        native = len(differing())
        futures_c.uninstall()
        assert not differing()
        at = 1
        while True:
            if INTERRUPTED == "install":
                hit = interrupt(at, futures_c.install, "*")
                if hit and not futures_c.status().installed:
                    assert not differing(), (at, differing())
            else:
                futures_c.install("*")
                hit = interrupt(at, futures_c.uninstall)
            if not hit:
                break
            futures_c.install("*")
            assert len(differing()) == native, (at, native, differing())
            assert futures_c.status().installed
            futures_c.uninstall()
            assert not differing(), (at, differing())
            at += 1
        assert at > 50, at
    """.replace("INTERRUPTED", repr(interrupted))
    ).check()
