"""install() and those who replace methods of the pools before or after it."""

from __future__ import annotations

import pytest

# A tracer that replaces the code of `submit`, as ddtrace does: the function stays
# the same object, and its new code calls a wrapper that is one of its constants.
# It patches the module as soon as it is loaded, and notes there that it has.
TRACER = {
    "ddtrace/__init__.py": "",
    "ddtrace/contrib/__init__.py": "",
    "ddtrace/contrib/internal/__init__.py": "",
    "ddtrace/contrib/internal/futures/__init__.py": "",
    "ddtrace/contrib/internal/futures/patch.py": """
import contextvars, sys
from types import FunctionType

def wrapper(function, args, kwargs):
    self, fn, *rest = args
    return function(self, contextvars.copy_context().run, fn, *rest, **kwargs)

SOURCE = '''
def make({names}):
    def outer(*args, **kwargs):
        wrapper = "wrapper"
        function = "function"
        return wrapper(function, args, kwargs)
        ({names})
    return outer
'''

def patch():
    module = sys.modules["concurrent.futures.thread"]
    if getattr(module, "__datadog_patch", False):
        return
    module.__datadog_patch = True
    submit = module.ThreadPoolExecutor.submit
    inner = FunctionType(
        submit.__code__, submit.__globals__, "<wrapped>",
        submit.__defaults__, submit.__closure__,
    )
    replaced = {"wrapper": wrapper, "function": inner}
    # The code of a closure is replaced by that of a closure over the same names.
    names, space = submit.__code__.co_freevars, {}
    exec(SOURCE.format(names=", ".join(names)), space)
    code = space["make"](*names).__code__
    submit.__code__ = code.replace(
        co_consts=tuple(
            replaced.get(one, one) if isinstance(one, str) else one
            for one in code.co_consts
        )
    )
""",
}

PATCH = "from ddtrace.contrib.internal.futures import patch; patch.patch()"

CHECK = """
import contextvars
import concurrent.futures as cf
variable = contextvars.ContextVar("variable", default="lost")
variable.set("here")
assert cf.ThreadPoolExecutor.__module__ == "futures_c.thread"
with cf.ThreadPoolExecutor(1) as pool:
    print(pool.submit(variable.get).result(20))
    print(*pool.map(lambda _: variable.get(), [0]))
"""


@pytest.fixture
def tracer(tmp_path):
    """Where a tracer is that wraps by replacing code; a directory for the path."""
    for name, text in TRACER.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


@pytest.mark.parametrize(
    "order",
    [
        ["import futures_c", "futures_c.install()", PATCH],
        ["import futures_c", "import ddtrace", "futures_c.install()", PATCH],
        # The standard class is wrapped already, and ours is then as well.
        ["import futures_c, concurrent.futures.thread", PATCH, "futures_c.install()"],
    ],
    ids=["install first", "loaded first", "patched first"],
)
def test_a_wrapper_of_submits_code_is_called(script, tracer, order):
    ran = script(
        "\n".join(
            [
                "import sys",
                f"sys.path.insert(0, {tracer!r})",
                *order,
                CHECK,
                "print(sorted(futures_c.status().standard)[1:])",
                "futures_c.uninstall()",
                "import types",
                "native = futures_c.ThreadPoolExecutor.submit",
                "print(isinstance(native, types.FunctionType))",
            ]
        )
    ).check()
    assert ran.lines == ["here", "here", "[]", "False"]


HOOK = """
import importlib.abc, importlib.machinery, sys

class Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        {statement}

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "concurrent.futures.thread":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        spec.loader = Loader(name, spec.loader.path)
        return spec

sys.meta_path.insert(0, Finder)
"""


def test_a_tracer_that_waits_for_the_module(python, tracer, tmp_path):
    """It patches when the standard module has been loaded: in the midst of ours."""
    (tmp_path / "sitecustomize.py").write_text(HOOK.format(statement=PATCH))
    env = {"FUTURES_C_INSTALL": "1", "PYTHONPATH": tracer}
    ran = python("-P", "-c", CHECK, env=env).check()
    assert ran.lines == ["here", "here"]


def test_a_wrapper_that_an_import_hook_loses_is_told(python, tmp_path):
    """It got the standard class when nobody could be told that it is too late."""
    statement = "module.ThreadPoolExecutor.submit = lambda *args: None"
    (tmp_path / "sitecustomize.py").write_text(HOOK.format(statement=statement))
    env = {"FUTURES_C_INSTALL": "1", "PYTHONPATH": str(tmp_path)}
    code = """
import concurrent.futures, futures_c
method = "concurrent.futures.thread.ThreadPoolExecutor.submit"
print(futures_c.status().standard[method])
"""
    ran = python("-P", "-c", code, env=env).check()
    assert ran.lines == ["replaced by sitecustomize before install()"]


LATE = """
import functools
import concurrent.futures as cf
cf.ThreadPoolExecutor

class Wrapper:
    __module__ = "wrapping"
    def __init__(self, function): self.function = function
    def __get__(self, one, cls): return functools.partial(self.function, one)

def wrap(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapped
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "cf.ThreadPoolExecutor.submit = wrap(cf.ThreadPoolExecutor.submit)",
            "concurrent.futures.thread.ThreadPoolExecutor.submit has been replaced "
            "by __main__",
        ),
        (
            "cf.Future.set_result = Wrapper(cf.Future.set_result)",
            "concurrent.futures._base.Future.set_result has been replaced by wrapping",
        ),
    ],
)
def test_a_method_that_was_replaced_before_is_too_late(script, statement, said):
    """Ours has no such wrapper: nobody loses his without being told."""
    ran = script(f"""
{LATE}
{statement}
import futures_c
try:
    futures_c.install()
except RuntimeError as error:
    print(str(error).partition(".  Call")[0])
kept = cf.Future
assert not futures_c.status().installed and cf.Future is kept
said = futures_c.install("*")
print(*said.standard.items(), sep="\\n")
futures_c.uninstall()
""").check()
    assert ran.lines[0] == f"futures_c.install() comes too late: {said}"
    name, _, by = said.partition(" has been replaced by ")
    assert f"({name!r}, 'replaced by {by} before install()')" in ran.lines


def test_nothing_of_the_standard_module_counts_as_replaced(script):
    script("""
        import concurrent.futures.process, concurrent.futures.thread, sys
        if sys.version_info >= (3, 14):
            import concurrent.futures.interpreter
        import futures_c
        futures_c.install()
        assert set(futures_c.status().standard) <= {
            "concurrent.futures.InterpreterPoolExecutor"}
    """).check()
