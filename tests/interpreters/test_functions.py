"""Which function runs: by name, as code, by number; changed, replaced, reloaded."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

from . import jobs

SOURCE = """
import functools

state = 0

def answer():
    return {answer}

def read():
    return state

def write(value):
    global state
    state = value

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return "wrapped", function(*args)
    return wrapper

@logged
def decorated(value):
    return value, {answer}, state

class Group:
    @staticmethod
    def inner():
        return {answer}, state

def reload_it(path, source):
    import importlib, sys
    with open(path, "w") as file:
        file.write(source)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    importlib.reload(sys.modules["futures_c_changing"])

def import_it_again():
    import sys
    del sys.modules["futures_c_changing"]
    import futures_c_changing
    futures_c_changing.state = "second"

def forget_it():
    import sys
    del sys.modules["futures_c_changing"]
"""


@pytest.fixture
def changing(tmp_path, monkeypatch):
    """A module that can be imported on both sides, and its file."""
    path = tmp_path / "futures_c_changing.py"
    path.write_text(SOURCE.format(answer=1))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("futures_c_changing")
    yield module
    del sys.modules["futures_c_changing"]


@pytest.fixture
def pool_there(make, tmp_path):
    """One worker that finds the module."""
    pool = make()
    pool.submit(jobs.visit, str(tmp_path)).result()
    return pool


def test_a_function_has_its_modules_state_there(changing, pool_there, futures):
    if futures.__name__ == "concurrent.futures":
        pytest.skip("there, what sets a global sets it nowhere")
    submit = pool_there.submit
    assert submit(changing.read).result() == 0
    submit(changing.write, 5).result()
    assert submit(changing.read).result() == 5
    assert changing.read() == 0


def test_decorated_functions(changing, pool_there):
    submit = pool_there.submit
    for _ in range(3):
        assert submit(changing.decorated, 3).result() == ("wrapped", (3, 1, 0))
        assert submit(changing.Group.inner).result() == (1, 0)


def test_a_module_that_is_reloaded_there(changing, pool_there):
    """Functions that go by their name are those that have it now."""
    submit = pool_there.submit
    for function in changing.read, changing.decorated, changing.Group.inner:
        submit(function, *[3] * (function is changing.decorated)).result()
    path = changing.__file__
    source = SOURCE.format(answer=2).replace("state = 0", "state = 'new'")
    submit(changing.reload_it, path, source).result()
    for _ in range(2):
        assert submit(changing.read).result() == "new"
        assert submit(changing.decorated, 3).result() == ("wrapped", (3, 2, "new"))
        assert submit(changing.Group.inner).result() == (2, "new")


def test_a_module_that_is_imported_again_there(changing, pool_there, futures):
    """Its functions are those of the module that has its name now."""
    if futures.__name__ == "concurrent.futures":
        pytest.skip("there, what sets a global sets it nowhere")
    submit = pool_there.submit
    submit(changing.write, "first").result()
    assert submit(changing.read).result() == "first"
    submit(changing.import_it_again).result()
    assert [submit(changing.read).result() for _ in range(2)] == ["second"] * 2
    # Nobody has imported it since: then the call does.
    submit(changing.forget_it).result()
    assert [submit(changing.read).result() for _ in range(2)] == [0, 0]


def test_a_function_that_is_given_other_code(pool):
    """One that goes as code runs with the code that it has now."""

    def function():
        return 1

    def other():
        return 2

    assert pool.submit(function).result() == 1
    assert pool.submit(function).result() == 1
    function.__code__ = other.__code__
    assert pool.submit(function).result() == 2
    assert pool.submit(function).result() == 2


def test_a_named_function_that_is_given_other_code(pool):
    function = types.FunctionType(one.__code__, {}, "futures_c_no_such_name")
    function.__qualname__ = "futures_c_no_such_name"
    for other in one, two, one:
        function.__code__ = other.__code__
        for _ in range(3):
            assert pool.submit(function).result() == other()


def one():
    """Return 1."""
    return 1


def two():
    """Return 2."""
    return 2


def test_functions_of_one_name(pool):
    """The one that is submitted runs, whatever its namesakes did before."""
    for value in range(5):
        names: dict = {}
        exec(f"def namesake(): return {value}", names)
        for _ in range(2):
            assert pool.submit(names["namesake"]).result() == value


def test_lambdas_and_local_functions(pool):
    def local(x):
        def inner(y):
            return y * 2

        return [inner(x), len("abc")]

    for n in range(5):
        assert pool.submit(lambda x: x + 1, n).result() == n + 1
        assert pool.submit(local, n).result() == [2 * n, 3]
    assert list(pool.map(lambda x: [x], range(3))) == [[0], [1], [2]]


def test_functions_of_a_module_that_cannot_be_imported_there(pool):
    module = types.ModuleType("futures_c_only_here")
    module.futures_c_missing = 1
    exec("def f(x):\n    return x, futures_c_missing\n", vars(module))
    sys.modules[module.__name__] = module
    try:
        module.f.__module__ = module.__name__
        future = pool.submit(module.f, 2)
        assert future.exception() is not None
        exec("def g(x):\n    return x, 1\n", vars(module))
        module.g.__module__ = module.__name__
        for n in range(3):
            assert pool.submit(module.g, n).result() == (n, 1)
    finally:
        del sys.modules[module.__name__]


def test_a_function_does_not_lose_what_shadows_a_builtin(futures, make):
    """It needs a global of its module, so it does not travel as code."""
    names: dict = {"len": None}
    exec("def shadowed(): return len('abc')", names)
    future = make().submit(names["shadowed"])
    assert type(future.exception()).__name__ == "NotShareableError"


def test_more_functions_than_are_remembered(pool):
    made = []
    for n in range(300):
        names: dict = {}
        exec(f"def f{n}(): return {n}", names)
        made.append(names[f"f{n}"])
    for _ in range(2):
        pending = [pool.submit(function) for function in made]
        assert [f.result() for f in pending] == list(range(300))
    for n in 0, 299, 1, 150:
        assert pool.submit(made[n]).result() == n
        assert pool.submit(abs, -n).result() == n


def test_functions_that_fail_in_between(pool):
    """One whose first call fails is remembered all the same."""
    for _ in range(3):
        assert type(pool.submit(one, 1).exception()) is TypeError
        assert pool.submit(one).result() == 1
