"""What `import futures_c` loads, and what it leaves unloaded.

What it costs is measured by the benchmark `import`.
"""

from __future__ import annotations

LIST_MODULES = """
    import sys
    import {module}
    print(*sorted(sys.modules), sep="\\n")
"""


def modules_after(script, module):
    outcome = script(LIST_MODULES.format(module=module)).check()
    return set(outcome.lines)


def test_nothing_is_loaded_that_the_standard_module_does_not_load(script):
    ours = modules_after(script, "futures_c")
    standard = modules_after(script, "concurrent.futures")
    assert {name for name in ours - standard if name.split(".")[0] != "futures_c"} == (
        set()
    )
    assert {name for name in ours if name.startswith("futures_c")} == {"futures_c"}
    # Not even the standard one, which a worker process may do without.
    assert "concurrent.futures" not in ours


def test_a_worker_does_not_load_the_standard_module(script):
    ours = modules_after(script, "futures_c._worker")
    assert "futures_c._native" in ours
    assert not {"concurrent.futures", "logging", "multiprocessing", "typing"} & ours


def test_the_thread_pool_does_not_load_the_process_pool(script):
    ours = modules_after(script, "futures_c.thread")
    assert "futures_c.thread" in ours
    assert "multiprocessing" not in ours
    assert "futures_c.process" not in ours


def test_the_module_of_each_class_is_loaded(script):
    """Which inspect, doctest and others look up."""
    script("""
        import inspect, sys
        import futures_c
        for one in (futures_c.Future, futures_c.wait, futures_c.as_completed):
            assert one.__module__ in sys.modules
            assert inspect.getmodule(one) is sys.modules[one.__module__]
    """).check()


def test_an_executor_is_loaded_when_it_is_asked_for(script):
    outcome = script("""
        import sys
        import futures_c
        assert "futures_c.thread" not in sys.modules
        first = futures_c.ThreadPoolExecutor
        assert "futures_c.thread" in sys.modules
        assert "multiprocessing" not in sys.modules
        assert futures_c.ThreadPoolExecutor is first
        futures_c.ProcessPoolExecutor
        assert "multiprocessing" in sys.modules
    """)
    outcome.check()


def test_it_imports_in_a_subinterpreter(script):
    """With its own GIL where there are such, and again after the first ended."""
    outcome = script("""
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        run = getattr(interpreters, "exec", None) or interpreters.run_string
        # Isolated ones have no threads there.
        options = {"isolated": False} if sys.version_info < (3, 12) else {}
        code = '''
        import futures_c
        with futures_c.ThreadPoolExecutor(2) as pool:
            assert list(pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
            assert pool.submit(divmod, 7, 2).result() == (3, 1)
        '''
        import futures_c
        for _ in range(2):
            number = interpreters.create(**options)
            failed = run(number, "import textwrap; exec(textwrap.dedent(%r))" % code)
            assert failed is None, failed
            interpreters.destroy(number)
        assert futures_c.ThreadPoolExecutor(1).submit(abs, -1).result() == 1
    """)
    outcome.check()
