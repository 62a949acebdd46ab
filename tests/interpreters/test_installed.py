"""The pool under the standard module's name."""

from __future__ import annotations

import pytest

import futures_c

from . import kit


@pytest.mark.skipif(
    not kit.STANDARD, reason="the standard module has none before Python 3.14"
)
def test_install_replaces_the_standard_pool(script):
    ran = script(
        """
import concurrent.futures
from concurrent.futures import InterpreterPoolExecutor as standard
del standard
print(futures.install())
pool = concurrent.futures.InterpreterPoolExecutor(1)
print(type(pool) is futures.InterpreterPoolExecutor, pool.submit(abs, -2).result())
pool.shutdown()
""",
        futures=futures_c,
    )
    lines = ran.check().lines
    assert "native    concurrent.futures.InterpreterPoolExecutor" in lines
    assert lines[-1] == "True 2"


def test_the_workers_are_switched_like_their_interpreter(script):
    ran = script(
        kit.PROLOGUE
        + """
with make(1) as pool:
    print(pool.submit(jobs.is_switched).result())
futures.install()
with make(1) as pool:
    print(pool.submit(jobs.is_switched).result())
futures.uninstall()
with make(1) as pool:
    print(pool.submit(jobs.is_switched).result())
""",
        futures=futures_c,
    )
    assert ran.check().lines == ["False", "True", "False"]
