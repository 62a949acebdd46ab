"""Futures as Python objects: types, subclasses, attributes, copies, asyncio."""

import asyncio
import collections
import concurrent.futures
import copy
import gc
import inspect
import pickle
import threading
import types
import weakref

import pytest
from future_kit import LONG, Call, Oops, outcome, pause

# --- the type ----------------------------------------------------------------


def test_it_is_a_future_of_the_standard_module(futures):
    assert issubclass(futures.Future, concurrent.futures.Future)
    future = futures.Future()
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(future, futures.Future)
    with futures.ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(abs, -1)
        assert type(submitted) is futures.Future
        submitted.result()


def test_name_and_module(futures):
    assert futures.Future.__name__ == "Future"
    assert futures.Future.__qualname__ == "Future"
    assert futures.Future is futures._base.Future


def test_every_public_name_is_documented(futures):
    assert inspect.getdoc(futures.Future)
    for name in (
        "add_done_callback",
        "cancel",
        "cancelled",
        "done",
        "exception",
        "result",
        "running",
        "set_exception",
        "set_result",
        "set_running_or_notify_cancel",
    ):
        assert inspect.getdoc(getattr(futures.Future, name))


def test_the_standard_names_and_signatures_are_there(ours):
    standard = concurrent.futures.Future
    for name in dir(standard):
        assert hasattr(ours.Future, name), name
    for name in ("cancel", "result", "exception", "set_result", "set_exception",
                 "add_done_callback", "done", "running", "cancelled",
                 "set_running_or_notify_cancel"):  # fmt: skip
        expected = inspect.signature(getattr(standard, name))
        actual = inspect.signature(getattr(ours.Future, name))
        assert list(actual.parameters) == list(expected.parameters), name
        for key, parameter in expected.parameters.items():
            assert actual.parameters[key].default == parameter.default, name


def test_generic_alias(futures):
    alias = futures.Future[int]
    assert type(alias) is types.GenericAlias
    assert alias.__origin__ is futures.Future
    assert alias.__args__ == (int,)
    assert alias == futures.Future[int]
    assert alias != futures.Future[str]
    assert type(alias()) is futures.Future
    assert str(futures.Future[int, str]).endswith("Future[int, str]")

    class Sub(futures.Future[int]):
        pass

    assert issubclass(Sub, futures.Future)


def test_identity_and_hash(futures):
    one, other = futures.Future(), futures.Future()
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2
    assert hash(one) == object.__hash__(one)
    one.set_result(1)
    assert one in {one: None}
    with pytest.raises(TypeError):
        one < other  # noqa: B015
    assert bool(one)


# --- attributes --------------------------------------------------------------


def test_attributes(new):
    future = new()
    future.url = "http://example.invalid/"
    future.retries = 3
    assert future.url == "http://example.invalid/"
    assert future.__dict__["retries"] == 3
    assert "retries" in dir(future)
    del future.url
    assert not hasattr(future, "url")
    with pytest.raises(AttributeError):
        future.nothing  # noqa: B018
    future.__dict__["direct"] = 1
    assert future.direct == 1
    assert vars(future)["direct"] == 1
    setattr(future, "with space", 2)
    assert getattr(future, "with space") == 2


def test_attributes_of_a_submitted_future(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        submitted = []
        for number in range(50):
            future = pool.submit(abs, -number)
            future.number = number
            submitted.append(future)
        for future in futures.as_completed(submitted):
            assert future.result() == future.number


def test_methods_can_be_replaced_on_one_future(new):
    future = new()
    future.result = lambda timeout=None: "replaced"
    assert future.result() == "replaced"
    del future.result
    future.set_result("own")
    assert future.result() == "own"


def test_dict_can_be_assigned(futures):
    class Sub(futures.Future):
        pass

    future = Sub()
    future.number = 1
    kept = dict(future.__dict__)
    future.__dict__ = kept | {"other": 2}
    assert (future.number, future.other) == (1, 2)


def test_weak_references(new):
    future = new()
    dead = []
    reference = weakref.ref(future, dead.append)
    proxy = weakref.proxy(future)
    table = weakref.WeakKeyDictionary({future: "value"})
    assert reference() is future
    assert weakref.getweakrefcount(future) == 3
    proxy.set_result(5)
    assert future.result() == 5
    assert table[future] == "value"
    del future
    assert reference() is None
    assert dead == [reference]
    assert len(table) == 0


def test_weak_references_to_submitted_futures(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        table = weakref.WeakValueDictionary()
        kept = []
        for number in range(100):
            future = pool.submit(abs, number)
            table[number] = future
            kept.append(future)
        assert futures.wait(kept, 20).not_done == set()
        assert [table[n].result() for n in range(100)] == list(range(100))


# --- copies ------------------------------------------------------------------


NO_PICKLE = r"cannot pickle '(_thread\.)?RLock' object"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused(futures, protocol):
    future = futures.Future()
    with pytest.raises(TypeError, match=NO_PICKLE):
        pickle.dumps(future, protocol)
    future.set_result(1)
    with pytest.raises(TypeError, match=NO_PICKLE):
        pickle.dumps(future, protocol)


def test_deep_copying_is_refused(new):
    with pytest.raises(TypeError, match=NO_PICKLE):
        copy.deepcopy(new())


class Reduced:
    """Says how it is pickled."""

    def __reduce__(self):
        return str, ("reduced",)


class Stated:
    """Says what of it is pickled."""

    def __getstate__(self):
        return {"tag": self.tag}


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [Reduced, Stated])
def test_a_subclass_may_be_pickled_its_own_way(futures, monkeypatch, kind, copying):
    class Mine(kind, futures.Future):
        pass

    # Where pickle looks for it.
    monkeypatch.setitem(globals(), "Mine", Mine)
    Mine.__qualname__ = "Mine"
    future = Mine()
    future.tag = 7
    made = copying(future)
    if copying is pickle.dumps:
        made = pickle.loads(made)
    if kind is Reduced:
        assert made == "reduced"
    else:
        assert type(made) is Mine
        assert made.tag == 7


def test_a_finalizer_given_to_the_class(futures, monkeypatch):
    seen = []
    gc.collect()
    monkeypatch.setattr(
        futures.Future, "__del__", lambda f: seen.append(f._result), raising=False
    )
    future = futures.Future()
    future.set_result(["cycle", future])
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(str, "submitted").result() == "submitted"
    del future
    gc.collect()
    monkeypatch.undo()
    assert seen.count("submitted") == 1
    assert sum(type(result) is list and result[0] == "cycle" for result in seen) == 1


def test_a_finalizer_runs_for_what_takes_a_finalized_futures_place(
    futures, monkeypatch
):
    for _ in range(4):
        seen = []
        with monkeypatch.context() as patched:
            patched.setattr(
                futures.Future, "__del__", lambda f, s=seen: s.append(f), raising=False
            )
            future = futures.Future()
            future.set_result([future])
            del future
            gc.collect()
        assert len(seen) == 1
        # Freed when the class has no finalizer any more.
        seen.clear()
        gc.collect()


def test_pickling_by_reference_of_the_class(futures):
    assert pickle.loads(pickle.dumps(futures.Future)) is futures.Future


# --- subclasses --------------------------------------------------------------


def test_a_subclass_with_init_and_attributes(futures):
    class Download(futures.Future):
        def __init__(self, url, *, retries=0):
            super().__init__()
            self.url = url
            self.retries = retries

    future = Download("x", retries=2)
    assert (future.url, future.retries) == ("x", 2)
    assert future._state == "PENDING"
    assert repr(future) == f"<Download at {id(future):#x} state=pending>"
    call = Call(future.result, LONG)
    pause()
    future.set_result(len(future.url))
    assert call.end() == ("returned", 1)
    assert futures.wait([future]).done == {future}
    assert list(futures.as_completed([future])) == [future]


def test_a_subclass_with_slots(futures):
    class Slotted(futures.Future):
        __slots__ = ("first", "second")

    future = Slotted()
    future.first = 1
    with pytest.raises(AttributeError):
        future.second  # noqa: B018
    future.set_result(future.first)
    assert future.result() == 1
    future.anything = 2  # Its base has a dict all the same.
    assert future.anything == 2


def test_a_subclass_that_overrides_invoke_callbacks(futures):
    class Deferred(futures.Future):
        def __init__(self):
            super().__init__()
            self.invoked = 0

        def _invoke_callbacks(self):
            self.invoked += 1
            self.seen = (self._state, list(self._done_callbacks))

        def really(self):
            super()._invoke_callbacks()

    for act in (
        lambda f: f.set_result(1),
        lambda f: f.set_exception(Oops()),
        lambda f: f.cancel(),
    ):
        future = Deferred()
        called = []
        future.add_done_callback(called.append)
        act(future)
        assert future.invoked == 1
        assert future.seen[0] in ("FINISHED", "CANCELLED")
        assert future.seen[1] == [called.append]
        assert called == []
        future.really()
        assert called == [future]


def test_a_subclass_that_overrides_set_result(futures):
    class Doubling(futures.Future):
        def set_result(self, result):
            super().set_result(2 * result)

    future = Doubling()
    future.set_result(4)
    assert future.result() == 8


def test_a_subclass_that_overrides_result_and_done(futures):
    class Shouting(futures.Future):
        def result(self, timeout=None):
            return super().result(timeout).upper()

    future = Shouting()
    future.set_result("quiet")
    assert future.result() == "QUIET"
    assert futures.wait([future]).done == {future}


def test_a_subclass_that_overrides_cancel(futures):
    class Stubborn(futures.Future):
        def cancel(self):
            return False

    future = Stubborn()
    assert not future.cancel()
    assert future._state == "PENDING"
    future.set_result(1)
    assert future.result() == 1


def test_a_subclass_that_forgets_init(futures):
    """A native future needs no __init__; the standard one breaks."""

    class Forgetful(futures.Future):
        def __init__(self):
            pass

    if futures is concurrent.futures:
        with pytest.raises(AttributeError):
            Forgetful().done()
        return
    future = Forgetful()
    assert not future.done()
    future.set_result(1)
    assert future.result() == 1


def test_a_subclass_of_two_bases(futures):
    class Named:
        def __init__(self, name):
            self.name = name
            super().__init__()

    class NamedFuture(Named, futures.Future):
        pass

    future = NamedFuture("n")
    assert future.name == "n"
    future.set_result(1)
    assert future.result() == 1


def test_a_subclass_with_a_metaclass_and_new(futures):
    made = []

    class Counted(futures.Future):
        def __new__(cls, *args):
            self = super().__new__(cls)
            made.append(self)
            return self

        def __init__(self, *args):
            super().__init__()
            self.args = args

    future = Counted(1, 2)
    assert made == [future]
    assert future.args == (1, 2)
    assert future._state == "PENDING"


def test_a_subclass_with_del(futures):
    gone = []

    class Noted(futures.Future):
        def __del__(self):
            gone.append(self._state)

    future = Noted()
    future.set_result(1)
    del future
    assert gone == ["FINISHED"]


def test_class_attributes_of_the_module_can_be_patched(futures, monkeypatch):
    """Tracing tools replace methods on the class."""
    seen = []
    original = futures.Future.set_result

    def traced(self, result):
        seen.append(result)
        return original(self, result)

    monkeypatch.setattr(futures.Future, "set_result", traced)
    future = futures.Future()
    future.set_result(1)
    assert seen == [1]
    assert future.result() == 1


# --- with asyncio ------------------------------------------------------------


def test_asyncio_waits_for_a_future(futures):
    async def main():
        future = futures.Future()
        wrapped = asyncio.wrap_future(future)
        call = Call(lambda: (pause(), future.set_result("there")))
        assert await wrapped == "there"
        call.end()

        failing = futures.Future()
        wrapped = asyncio.wrap_future(failing)
        failing.set_exception(Oops("elsewhere"))
        with pytest.raises(Oops, match="elsewhere"):
            await wrapped

        done = futures.Future()
        done.set_result(None)
        assert await asyncio.wrap_future(done) is None

    asyncio.run(main())


def test_asyncio_cancels_in_both_directions(futures):
    async def main():
        future = futures.Future()
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()

        future = futures.Future()
        wrapped = asyncio.wrap_future(future)
        call = Call(future.cancel)
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        assert call.end() == ("returned", True)

    asyncio.run(main())


def test_asyncio_chains_into_a_future(futures):
    """The other direction, as run_coroutine_threadsafe does it."""
    from asyncio import futures as asyncio_futures

    async def main():
        for act, expected in (
            (lambda f: f.set_result(5), ("returned", 5)),
            (lambda f: f.set_exception(Oops("in the loop")), ("Oops", "in the loop")),
            (lambda f: f.cancel(), ("CancelledError", "")),
        ):
            inner = asyncio.get_running_loop().create_future()
            outer = futures.Future()
            asyncio_futures._chain_future(inner, outer)
            call = Call(outer.result, LONG)
            act(inner)
            await asyncio.sleep(0)
            while not outer.done():
                await asyncio.sleep(0.001)
            assert call.end() == expected

    asyncio.run(main())


def test_a_native_future_cancels_the_task_it_is_chained_to(futures):
    from asyncio import futures as asyncio_futures

    async def main():
        inner = asyncio.get_running_loop().create_future()
        outer = futures.Future()
        asyncio_futures._chain_future(inner, outer)
        Call(outer.cancel).end()
        with pytest.raises(asyncio.CancelledError):
            await inner

    asyncio.run(main())


def test_run_in_executor(futures):
    async def main():
        loop = asyncio.get_running_loop()
        with futures.ThreadPoolExecutor(3) as pool:
            results = await asyncio.gather(
                *(loop.run_in_executor(pool, pow, n, 2) for n in range(50))
            )
            assert results == [n * n for n in range(50)]
            with pytest.raises(ValueError):
                await loop.run_in_executor(pool, int, "x")

    asyncio.run(main())


def test_default_executor(futures):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(futures.ThreadPoolExecutor(2, "default"))
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert name.startswith("default_")
        assert await asyncio.to_thread(abs, -1) == 1

    asyncio.run(main())


# --- memory that is used again -----------------------------------------------


def test_used_again_it_is_pristine(futures):
    """Futures that died leave nothing of themselves in those made next."""

    class Marked(Exception):
        pass

    def spoil(future, number):
        future.attribute = number
        future.add_done_callback(lambda f: None)
        future.add_done_callback(lambda f: None)
        if number % 3 == 0:
            future._waiters.append(object())
            future._waiters.clear()
        if number % 2:
            future._condition  # noqa: B018
        if number % 5 == 0:
            future.set_exception(Marked())
        elif number % 7 == 0:
            future.cancel()
        else:
            future.set_result(["left over"])
        weakref.finalize(future, lambda: None)

    for _ in range(3):
        many = collections.deque(futures.Future() for _ in range(300))
        for number, future in enumerate(many):
            assert future._state == "PENDING"
            assert future._result is None
            assert future._exception is None
            assert future._done_callbacks == []
            assert future._waiters == []
            assert not hasattr(future, "attribute")
            assert weakref.getweakrefcount(future) == 0
            assert outcome(future.result, 0) == ("TimeoutError", "")
            spoil(future, number)
        del future
        many.clear()


def test_used_again_by_an_executor_it_is_pristine(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            dead = [pool.submit(int, "5" if n % 2 else "x") for n in range(200)]
            for number, future in enumerate(dead):
                future.mark = number
                future.exception(20)
            del dead, future
            go_on = threading.Event()
            blocker = pool.submit(go_on.wait, 20)
            fresh = [pool.submit(str, n) for n in range(200)]
            bare = [futures.Future() for _ in range(200)]
            for future in fresh + bare:
                assert future._state == "PENDING"
                assert not hasattr(future, "mark")
                assert weakref.getweakrefcount(future) == 0
                assert future._result is None
                assert future._exception is None
            go_on.set()
            assert blocker.result(20)
            assert [f.result(20) for f in fresh] == [str(n) for n in range(200)]
            assert all(f._state == "PENDING" for f in bare)
            del fresh, bare, future


# --- wrong calls ---------------------------------------------------------------

NO_ARGUMENTS = (
    "cancel",
    "cancelled",
    "running",
    "done",
    "set_running_or_notify_cancel",
)


def calls():
    for method in NO_ARGUMENTS:
        yield method, (1,), {}
        yield method, (1, 2), {}
        yield method, (), {"x": 1}
    for method, name in (
        ("set_result", "result"),
        ("set_exception", "exception"),
        ("add_done_callback", "fn"),
    ):
        yield method, (), {}
        yield method, (1, 2), {}
        yield method, (1, 2, 3), {}
        yield method, (), {"x": 1}
        yield method, (1,), {"x": 1}
        yield method, (1,), {name: 2}


@pytest.mark.parametrize(("method", "args", "kwargs"), list(calls()))
def test_wrong_calls_are_refused_as_by_the_standard_class(
    futures, method, args, kwargs
):
    standard = outcome(getattr(concurrent.futures.Future(), method), *args, **kwargs)
    assert standard[0] == "TypeError"
    future = futures.Future()
    assert outcome(getattr(future, method), *args, **kwargs) == standard
    assert future._state == "PENDING"
