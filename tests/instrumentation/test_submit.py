"""Those who replace or wrap `submit`: each way of using a pool goes through it."""

import asyncio
import contextvars
import functools
import importlib.util

import pytest

KINDS = ("ThreadPoolExecutor", "ProcessPoolExecutor")


@pytest.fixture(params=KINDS)
def pool_class(request, futures):
    return getattr(futures, request.param)


def counting(original, calls):
    """A wrapper as tracing tools make them."""

    @functools.wraps(original)
    def submit(self, fn, /, *args, **kwargs):
        calls.append(args)
        return original(self, fn, *args, **kwargs)

    return submit


@pytest.mark.parametrize("made", ["before", "after"])
def test_submit_replaced_on_the_class(pool_class, made):
    calls = []
    original = pool_class.submit
    pool = pool_class(1) if made == "before" else None
    own = vars(pool_class).get("submit")
    pool_class.submit = counting(original, calls)
    try:
        with pool or pool_class(1) as pool:
            assert pool.submit(abs, -1).result(20) == 1
            assert calls == [(-1,)]
            assert list(pool.map(abs, [-2, -3])) == [2, 3]
            assert len(calls) == 3

            async def main():
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(pool, abs, -4)

            assert asyncio.run(main()) == 4
            assert calls[-1] == (-4,)
            # Put back as most do it, whoever the method came from.
            pool_class.submit = original
            assert pool.submit(abs, -5).result(20) == 5
            assert list(pool.map(abs, [-6])) == [6]
            assert len(calls) == 4
    finally:
        if own is None:
            del pool_class.submit
        else:
            pool_class.submit = own


def test_to_thread_goes_through_a_replaced_submit(futures, monkeypatch):
    calls = []
    pool_class = futures.ThreadPoolExecutor
    monkeypatch.setattr(pool_class, "submit", counting(pool_class.submit, calls))

    async def main():
        asyncio.get_running_loop().set_default_executor(pool_class(1))
        return await asyncio.to_thread(abs, -1)

    assert asyncio.run(main()) == 1
    assert len(calls) == 1


def test_wrappers_around_wrappers(futures, monkeypatch):
    """Each is called once, the last one first."""
    order = []

    def wrap(name):
        inner = futures.ThreadPoolExecutor.submit

        def submit(self, fn, /, *args, **kwargs):
            order.append(name)
            return inner(self, fn, *args, **kwargs)

        monkeypatch.setattr(futures.ThreadPoolExecutor, "submit", submit)

    wrap("inner")
    wrap("outer")
    with futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(abs, [-1])) == [1]
    assert order == ["outer", "inner"]


def test_a_subclass_that_carries_context_variables(futures):
    variable = contextvars.ContextVar("variable", default=None)

    class Carrying(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)

    def get(_=None):
        return variable.get()

    async def main(pool):
        variable.set("loop's")
        loop = asyncio.get_running_loop()
        called = await loop.run_in_executor(pool, get)
        loop.set_default_executor(pool)
        return called, await asyncio.to_thread(get)

    with Carrying(2) as pool:
        variable.set("submitter's")
        assert pool.submit(get).result(20) == "submitter's"
        assert list(pool.map(get, range(5))) == ["submitter's"] * 5
        variable.set("later")
        assert list(pool.map(get, range(5))) == ["later"] * 5
        # What a call sets stays in its copy.
        assert pool.submit(variable.set, "worker's").result(20)
        assert get() == pool.submit(get).result(20) == "later"
        assert asyncio.run(main(pool)) == ("loop's", "loop's")


def test_a_mixin_that_wraps_submit(futures):
    """By cooperative inheritance, as metrics libraries do."""

    class Measuring:
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.submitted = []

        def submit(self, fn, /, *args, **kwargs):
            self.submitted.append(fn)
            return super().submit(fn, *args, **kwargs)

    class Threads(Measuring, futures.ThreadPoolExecutor):
        pass

    class Processes(Measuring, futures.ProcessPoolExecutor):
        pass

    for cls in (Threads, Processes):
        with cls(1) as pool:
            assert pool.submit(abs, -1).result(20) == 1
            assert list(pool.map(abs, [-2, -3])) == [2, 3]
            assert len(pool.submitted) == 3


# --- for real ---------------------------------------------------------------------

# Ours under the standard names; the standard module as it is.
INSTALL = """
import contextvars
if futures.__name__ == "futures_c":
    futures.install("*")
import asyncio
import concurrent.futures as cf
assert (cf.ThreadPoolExecutor.__module__ == "futures_c.thread") == (
    futures.__name__ == "futures_c")
"""

# *get* is what a call sees, *expected* what it should see, in each way to call it.
EVERY_WAY = """
async def every_way_of_asyncio(pool, get):
    loop = asyncio.get_running_loop()
    called = [await loop.run_in_executor(pool, get), await asyncio.to_thread(get)]
    await loop.shutdown_default_executor()
    return called

def check_every_way(get, expected):
    with cf.ThreadPoolExecutor(2) as pool:
        # Its threads are there already, started by somebody else.
        seen = [pool.submit(get).result(20)]
        seen += pool.map(lambda _: get(), range(3))
        seen += asyncio.run(every_way_of_asyncio(pool, get))
    assert seen == [expected] * 6, seen
"""


def needs(name):
    top = name.partition(".")[0]
    if importlib.util.find_spec(top) is None or importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: see the extras of pyproject.toml")


@pytest.mark.usefixtures("futures")
def test_wrapt(script):
    needs("wrapt")
    script(
        f"""
{INSTALL}
{EVERY_WAY}
import wrapt
variable = contextvars.ContextVar("variable", default=None)
calls = []

def wrapper(wrapped, instance, args, kwargs):
    assert isinstance(instance, cf.ThreadPoolExecutor)
    calls.append(args)
    return wrapped(contextvars.copy_context().run, *args, **kwargs)

where = "concurrent.futures.thread", "ThreadPoolExecutor.submit"
native = cf.ThreadPoolExecutor.submit
wrapt.wrap_function_wrapper(*where, wrapper)
variable.set("here")
check_every_way(variable.get, "here")
assert len(calls) == 6
wrapped = cf.ThreadPoolExecutor.submit
assert wrapped.__wrapped__ is native and wrapped.__name__ == "submit"
cf.ThreadPoolExecutor.submit = wrapped.__wrapped__
with cf.ThreadPoolExecutor(1) as pool:
    assert list(pool.map(abs, [-1])) == [1]
assert len(calls) == 6
""",
        flags=["-W", "ignore"],
    ).check()


@pytest.mark.usefixtures("futures")
def test_opentelemetry(script):
    needs("opentelemetry.instrumentation.threading")
    script(
        f"""
{INSTALL}
{EVERY_WAY}
from opentelemetry import trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.sdk.trace import TracerProvider

native = cf.ThreadPoolExecutor.submit
ThreadingInstrumentor().instrument()
assert cf.ThreadPoolExecutor.submit is not native
tracer = TracerProvider().get_tracer("test")

def current():
    return trace.get_current_span().get_span_context().span_id

for name in ("first", "second"):
    with tracer.start_as_current_span(name) as span:
        check_every_way(current, span.get_span_context().span_id)
with cf.ThreadPoolExecutor(1) as pool:
    assert pool.submit(current).result(20) == 0
    # Workers that a span's submit() has started go on without it.
    with tracer.start_as_current_span("third"):
        pool.submit(abs, 1).result(20)
    assert pool.submit(current).result(20) == 0
ThreadingInstrumentor().uninstrument()
assert cf.ThreadPoolExecutor.submit == native
""",
        flags=["-W", "ignore"],
    ).check()


@pytest.mark.usefixtures("futures")
def test_sentry(script):
    needs("sentry_sdk")
    script(
        f"""
{INSTALL}
{EVERY_WAY}
import sentry_sdk
from sentry_sdk.integrations.threading import ThreadingIntegration

sent = []
sentry_sdk.init(
    dsn="http://key@localhost/1", transport=sent.append, default_integrations=False,
    auto_enabling_integrations=False, integrations=[ThreadingIntegration()],
)

def tag():
    return sentry_sdk.get_isolation_scope()._tags.get("request")

for number in (1, 2):
    with sentry_sdk.isolation_scope() as scope:
        scope.set_tag("request", number)
        check_every_way(tag, number)

def fail():
    raise KeyError("told")

with cf.ThreadPoolExecutor(1) as pool:
    with sentry_sdk.isolation_scope() as scope:
        scope.set_tag("request", 3)
        future = pool.submit(fail)
    assert type(future.exception(20)) is KeyError
""",
        flags=["-W", "ignore"],
    ).check()
