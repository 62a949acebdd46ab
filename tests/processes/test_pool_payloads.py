"""What travels: sizes, kinds, functions, and what fails on its way."""

import copyreg
import functools
import gc
import os
import pickle
import socket
import sys
import threading
from multiprocessing import resource_sharer
from multiprocessing.reduction import ForkingPickler

import pytest

from . import cargo, jobs

#: Around the limits of a slot, of a page and of a ring, and far beyond them.
SIZES = [
    *range(12), *range(90, 112), 255, 256, 4064, 4095, 4096, 4097,
    (1 << 16) - 70, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 20, (8 << 20) + 3,
]  # fmt: skip

#: gh-80041: what does not unpickle breaks the standard module's pool.
UNREADABLE = pytest.mark.fault("gh-80041")


@pytest.fixture
def pool(make):
    pool = make(1)
    yield pool
    pool.shutdown()


# --- sizes ------------------


def pattern(size):
    """Bytes none of which looks like its neighbours."""
    return bytes(i * 7 % 251 for i in range(min(size, 1021))) * (size // 1021 + 1)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_of_every_size_there_and_back(pool, kind):
    for size in SIZES:
        sent = kind(pattern(size)[:size])
        result = pool.submit(jobs.identity, sent).result(30)
        assert type(result) is kind and result == sent, size


def test_text_of_every_size_there_and_back(pool):
    for size in SIZES[:-1]:
        for letter in "a", "\u00e4", "\u20ac", "\U0001f40d":
            sent = letter * (size // 4)
            assert pool.submit(jobs.identity, sent).result(30) == sent


def test_64_megabytes_there_and_back(pool):
    sent = os.urandom(1 << 20) * 64
    assert pool.submit(jobs.identity, sent).result(50) == sent


def test_calls_of_all_sizes_at_once(make, rng):
    """More than any ring holds, in any order, with results of other sizes."""
    pool = make(2)
    pending = []
    for i in range(300):
        size, wanted = (int(rng.random() ** 6 * (1 << 20)) for _ in range(2))
        sent = bytes([i % 251]) * size
        pending.append((i, size, wanted, pool.submit(cargo.answer, sent, wanted)))
    rng.shuffle(pending)
    for i, size, wanted, future in pending:
        assert future.result(30) == (size, bytes([i % 251 if size else 0]) * wanted)
    pool.shutdown()


def test_many_long_results_that_nobody_reads(make):
    """They wait somewhere; neither workers nor shutdown() wait for a reader."""
    pool = make(2)
    pending = [pool.submit(bytes, 3 << 20) for _ in range(40)]
    pool.shutdown()
    assert all(future.done() for future in pending)
    assert all(len(future.result(0)) == 3 << 20 for future in pending)


PLAIN = [
    None, True, False, 0, -1, 2**31, -(2**31) - 1, 2**63, -(2**63), 2**64, 10**400,
    0.0, -0.0, 1e308, float("inf"), 3 + 4j, "", "text", "\ud800", b"", b"\0", (), (1,),
    [], [[[]]], {}, {"a": {"b": (1, [2])}}, set(), {1, 2}, frozenset({3}), range(5),
    Ellipsis, NotImplemented, int, len, os.getpid, ValueError("a", 1), slice(1, 2),
]  # fmt: skip


def test_plain_values_there_and_back(pool):
    for value in PLAIN:
        result = pool.submit(jobs.identity, value).result(30)
        assert type(result) is type(value) and repr(result) == repr(value)
    nan = pool.submit(jobs.identity, float("nan")).result(30)
    assert nan != nan


def test_shared_and_cyclic_objects_keep_their_shape(pool):
    inner = [1]
    cyclic = [inner, inner, {"key": inner}]
    cyclic.append(cyclic)
    result = pool.submit(jobs.identity, cyclic).result(30)
    assert result[0] is result[1] is result[2]["key"]
    assert result[3] is result
    first, second = pool.submit(cargo.pair, inner, inner).result(30)
    assert first is second


def test_deep_objects(pool):
    deep = None
    for _ in range(200):
        deep = [deep]
    result = pool.submit(jobs.identity, deep).result(30)
    for _ in range(200):
        (result,) = result
    assert result is None


# --- buffers ------------------


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 1 << 16, 4 << 20])
@pytest.mark.parametrize("base", [bytes, bytearray])
def test_out_of_band_buffers(pool, size, base):
    sent = cargo.Buffered(base(pattern(size)[:size]))
    result = pool.submit(jobs.identity, sent).result(30)
    assert bytes(result.view) == bytes(sent.view)


def test_writable_buffers_arrive_writable_and_are_nobody_elses(pool):
    first = pool.submit(cargo.make_buffered, 1 << 20).result(30)
    second = pool.submit(cargo.make_buffered, 1 << 20).result(30)
    assert not first.view.readonly
    first.view[:] = b"x" * (1 << 20)
    third = pool.submit(cargo.make_buffered, 1 << 20).result(30)
    assert bytes(second.view) == bytes(third.view) == bytes(1 << 20)
    assert bytes(first.view) == b"x" * (1 << 20)


def test_a_worker_that_changes_its_argument_changes_only_its_own(pool):
    sent = cargo.Buffered(bytearray(1 << 18))
    for _ in range(3):
        assert pool.submit(cargo.scribble, sent).result(30) == 0
    assert bytes(sent.view) == bytes(1 << 18)


def test_a_result_outlives_its_executor(make):
    pool = make(1)
    results = [pool.submit(cargo.make_buffered, 1 << 20).result(30) for _ in range(3)]
    pending = pool.submit(cargo.make_buffered, 1 << 20)
    pool.shutdown()
    del pool
    gc.collect()
    for result in [*results, pending.result(30)]:
        assert bytes(result.view) == bytes(1 << 20)
        result.view[5] = 5


# --- numpy ------------------


def arrays(numpy):
    big = numpy.arange(300_000, dtype="f8").reshape(300, 1000)
    yield big
    yield numpy.asfortranarray(big)
    yield big[::2, ::3]
    yield big.T
    yield big[:, 5]
    yield numpy.arange(7)
    yield numpy.zeros((0, 3))
    yield numpy.array(5.5)
    yield numpy.arange(100_000, dtype=">i4")
    yield numpy.zeros(50_000, dtype=[("a", "i4"), ("b", "f8")])
    yield numpy.array(["text", None, {}], dtype=object)
    fixed = numpy.arange(100_000)
    fixed.flags.writeable = False
    yield fixed


def test_arrays_there_and_back(pool):
    numpy = pytest.importorskip("numpy")
    for array in arrays(numpy):
        result = pool.submit(jobs.identity, array).result(30)
        # Not in every protocol does numpy keep the order of bytes.
        native = [a.dtype.newbyteorder("=") for a in (result, array)]
        assert native[0] == native[1] and result.shape == array.shape
        assert numpy.array_equal(result, array)


def test_arrays_arrive_writable_and_are_nobody_elses(pool):
    numpy = pytest.importorskip("numpy")
    results = [pool.submit(cargo.zeros, 200_000).result(30) for _ in range(4)]
    for i, result in enumerate(results):
        assert result.flags.writeable
        result[:] = i
    more = pool.submit(cargo.zeros, 200_000).result(30)
    assert not more.any()
    for i, result in enumerate(results):
        assert numpy.all(result == i)


def test_an_array_outlives_its_executor(make):
    pytest.importorskip("numpy")
    pool = make(1)
    first = pool.submit(cargo.zeros, 1 << 20).result(30)
    view = first[1000:2000]
    pool.shutdown()
    del pool, first
    gc.collect()
    view += 1
    assert view.sum() == 1000


def test_an_array_in_several_places_is_one(pool):
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(100_000)
    first, second = pool.submit(cargo.pair, array, array).result(30)
    first[3] = 1
    assert second[3] == 1


def test_hundreds_of_arrays_that_are_kept(make):
    """Their blocks are not given away under them."""
    numpy = pytest.importorskip("numpy")
    pool = make(2)
    kept = list(pool.map(cargo.filled, [50_000] * 60, range(60)))
    for i, array in enumerate(kept):
        assert numpy.all(array == i)
    del kept[::2]
    kept += pool.map(cargo.filled, [50_000] * 60, range(60, 120))
    wanted = [*range(1, 60, 2), *range(60, 120)]
    for i, array in zip(wanted, kept):
        assert numpy.all(array == i)
    pool.shutdown()


# --- what ForkingPickler knows ------------------


def test_a_socket_travels(pool):
    here, there = socket.socketpair()
    with here, there:
        future = pool.submit(cargo.say, there, b"hello")
        here.settimeout(20)
        assert here.recv(100) == b"hello"
        assert future.result(30) == 5
    resource_sharer.stop(20)


def test_a_connection_travels(pool, context):
    here, there = context.Pipe()
    with here, there:
        future = pool.submit(cargo.say_by_connection, there, {"a": 1})
        assert here.poll(20) and here.recv() == {"a": 1}
        future.result(30)
    resource_sharer.stop(20)


def test_a_lock_travels_by_initializer_alone(make, context):
    lock = context.Lock()
    pool = make(1, initializer=jobs.keep_these, initargs=({"lock": lock},))
    with lock:
        assert pool.submit(cargo.lock_is_free).result(30) is False
    assert pool.submit(cargo.lock_is_free).result(30) is True
    error = pool.submit(jobs.identity, lock).exception(30)
    assert isinstance(error, RuntimeError)
    assert "through inheritance" in str(error)
    assert pool.submit(abs, -1).result(30) == 1
    pool.shutdown()


def test_types_that_are_registered_after_the_first_call(pool):
    assert pool.submit(abs, -1).result(30) == 1
    sent = cargo.Registered("copyreg")
    try:
        copyreg.pickle(cargo.Registered, cargo.reduce_registered)
        assert pool.submit(jobs.identity, sent).result(30) == "by copyreg: copyreg"
    finally:
        del copyreg.dispatch_table[cargo.Registered]
    try:
        ForkingPickler.register(cargo.Registered, cargo.reduce_for_forking)
        assert pool.submit(jobs.identity, sent).result(30) == "for forking: copyreg"
    finally:
        del ForkingPickler._extra_reducers[cargo.Registered]
    assert type(pool.submit(jobs.identity, sent).result(30)) is cargo.Registered


# --- functions ------------------


def test_functions_of_every_kind(pool):
    calls = [
        (abs, (-1,), 1),
        (jobs.identity, ("a",), "a"),
        (int, ("17",), 17),
        (functools.partial(pow, 2), (10,), 1024),
        (functools.partial(cargo.keywords, a=1, b=2), (), {"a": 1, "b": 2}),
        ("a-b".split, ("-",), ["a", "b"]),
        (cargo.Counter(3).bound, (4,), 7),
        (cargo.Counter.static, (4,), 4),
        (cargo.Counter.of_class, (), "Counter"),
        (cargo.Counter(3), (4,), 7),
        (cargo.Counter, (3,), cargo.Counter(3)),
        (cargo.Outer.Inner.method, (5,), 5),
    ]
    for fn, args, expected in calls:
        assert pool.submit(fn, *args).result(30) == expected


def test_a_callable_travels_as_it_is_at_each_call(pool):
    counter = cargo.Counter(0)
    for i in range(20):
        counter.start = i
        assert pool.submit(counter, 1).result(30) == i + 1
        assert pool.submit(counter.bound, 1).result(30) == i + 1
        assert pool.submit(functools.partial(pow, i), 2).result(30) == i * i


def test_a_global_that_changes_its_value_does_so_in_new_workers_only(futures, make):
    """A function is sent by name, also to workers that have met another one."""
    pool = make(1)
    assert pool.submit(cargo.versioned).result(30) == 1
    assert pool.submit(cargo.versioned).result(30) == 1
    pool.shutdown()


def test_more_functions_than_anybody_numbers(pool):
    for _ in range(2):
        for i in range(0, 6000, 7):
            fn = getattr(cargo, f"function_{i}")
            assert pool.submit(fn).result(30) == i


def test_functions_are_kept_apart_by_identity(pool):
    """An object at the address of one that is gone is not taken for it."""
    for i in range(200):
        fn = functools.partial(jobs.identity, i)
        assert pool.submit(fn).result(30) == i
        del fn


def test_keywords_and_many_arguments(pool):
    assert pool.submit(cargo.keywords, fn=1, self=2, a=3).result(30) == {
        "fn": 1, "self": 2, "a": 3,
    }  # fmt: skip
    many = list(range(300))
    assert pool.submit(cargo.collect, *many).result(30) == (tuple(many), {})
    named = {f"key{i}": i for i in range(300)}
    assert pool.submit(cargo.collect, 1, **named).result(30) == ((1,), named)
    named = {"\u00e4": 1, "": 2, "not an identifier": 3}
    assert pool.submit(cargo.collect, **named).result(30) == ((), named)


def test_a_function_whose_pickle_is_registered(pool):
    """A reducer for builtins wins over sending them by number.

    For functions of Python, pickle itself does not ask for one.
    """
    assert pool.submit(abs, -1).result(30) == 1
    assert pool.submit(jobs.identity, 1).result(30) == 1
    try:
        for function in abs, jobs.identity:
            ForkingPickler.register(type(function), cargo.reduce_function)
        assert pool.submit(abs, -1).result(30) == ("replaced", -1)
        assert pool.submit(jobs.identity, 1).result(30) == 1
    finally:
        for function in abs, jobs.identity:
            del ForkingPickler._extra_reducers[type(function)]
    assert pool.submit(abs, -1).result(30) == 1


# --- what cannot be pickled ------------------


def not_picklable():
    """Each with the error by which pickle refuses it."""
    for value in (
        lambda: None,
        threading.Lock(),
        (i for i in ()),
        memoryview(b"1"),
        cargo.Refuses(ValueError("no")),
        cargo.Refuses(RecursionError("no")),
    ):
        try:
            ForkingPickler.dumps(value)
        except Exception as exc:
            yield value, exc
        else:
            raise AssertionError(value)


def test_an_argument_that_cannot_be_pickled(make):
    pool = make(1)
    for value, expected in not_picklable():
        for args in [(value,), ([1, {2: value}],)]:
            error = pool.submit(jobs.identity, *args).exception(30)
            assert type(error) is type(expected)
    assert pool.submit(abs, -1).result(30) == 1
    pool.shutdown()


def test_a_function_that_cannot_be_pickled(pool):
    error = pool.submit(lambda: 1).exception(30)
    assert isinstance(error, (pickle.PicklingError, AttributeError))
    error = pool.submit(functools.partial(lambda: 1)).exception(30)
    assert isinstance(error, (pickle.PicklingError, AttributeError))
    error = pool.submit(cargo.replaced_elsewhere).exception(30)
    assert isinstance(error, pickle.PicklingError)
    assert pool.submit(abs, -1).result(30) == 1


def test_bpo31699_a_result_that_cannot_be_pickled(pool):
    error = pool.submit(cargo.make_lambda).exception(30)
    assert isinstance(error, (pickle.PicklingError, AttributeError))
    error = pool.submit(cargo.make_refusing, "text").exception(30)
    assert type(error) is ValueError and error.args == ("text",)
    assert pool.submit(abs, -1).result(30) == 1


def test_an_exception_that_cannot_be_pickled(pool):
    error = pool.submit(cargo.raise_unpicklable).exception(30)
    assert isinstance(error, Exception)
    assert pool.submit(abs, -1).result(30) == 1


def test_those_beside_an_unpicklable_call_are_not_touched(make):
    pool = make(2)
    pending = [
        pool.submit(jobs.identity, (lambda: None) if i % 3 == 0 else i)
        for i in range(300)
    ]
    for i, future in enumerate(pending):
        if i % 3:
            assert future.result(30) == i
        else:
            assert isinstance(
                future.exception(30), (pickle.PicklingError, AttributeError)
            )
    pool.shutdown()


def test_the_error_of_pickling_has_its_traceback_as_cause(futures, pool):
    error = pool.submit(jobs.identity, cargo.Refuses(ValueError("no"))).exception(30)
    assert type(error) is ValueError
    assert isinstance(error.__cause__, futures.process._RemoteTraceback)
    assert "cargo.py" in str(error.__cause__)


def test_bpo39104_shutdown_after_an_unpicklable_call(make):
    pool = make(1)
    future = pool.submit(jobs.identity, lambda: None)
    pool.shutdown(wait=False)
    assert future.exception(30) is not None


@pytest.mark.fault("gh-116685")
def test_gh116685_unpicklable_calls_and_cancel_futures(make):
    pool = make(1)
    pending = [pool.submit(jobs.identity, lambda: None) for _ in range(10)]
    pool.shutdown(cancel_futures=True)
    assert all(future.done() for future in pending)


# --- what cannot be unpickled ------------------


@UNREADABLE
@pytest.mark.parametrize("event", ["exception", "memory", "sys.exit", "interrupt"])
@pytest.mark.parametrize("side", ["worker", "parent"])
def test_gh80041_what_cannot_be_unpickled_is_its_futures_alone(
    futures, make, event, side
):
    pool = make(1)
    bad, good = [], []
    for i in range(5):
        if side == "worker":
            bad.append(pool.submit(jobs.identity, jobs.Unpickled(event)))
        else:
            bad.append(pool.submit(jobs.give_unpickled, event))
        good.append(pool.submit(abs, -i))
    assert [future.result(30) for future in good] == list(range(5))
    for future in bad:
        error = future.exception(30)
        assert type(error) is futures.process.BrokenProcessPool
        assert error.__cause__.args == ("on purpose",) or event == "sys.exit"
        assert future.exception(0) is error
    pool.shutdown()


@UNREADABLE
def test_gh103061_an_exception_that_does_not_unpickle(futures, make):
    """One whose __init__ takes more than its args: seen in the wild."""
    pool = make(1)
    error = pool.submit(cargo.raise_two_argument_error).exception(20)
    assert type(error) is futures.process.BrokenProcessPool
    assert type(error.__cause__) is TypeError
    assert pool.submit(abs, -1).result(20) == 1
    pool.shutdown()


@UNREADABLE
def test_callbacks_and_waiters_see_what_does_not_unpickle(futures, make):
    pool = make(1)
    seen = []
    called = threading.Event()
    future = pool.submit(jobs.give_unpickled, "exception")
    future.add_done_callback(lambda f: (seen.append(f.exception()), called.set()))
    assert called.wait(20)
    assert type(seen[0]) is futures.process.BrokenProcessPool
    assert futures.wait([future], 5).done == {future}
    with pytest.raises(futures.process.BrokenProcessPool):
        next(pool.map(jobs.give_unpickled, ["exception"], timeout=20))
    pool.shutdown()


def test_a_worker_that_cannot_import_the_function(futures, make, method):
    """Of the parent alone: a module that was made here."""
    if method == "fork":
        pytest.skip("a forked worker has the module")
    module = type(sys)("processes_only_here")
    exec("def function(): return 1", module.__dict__)
    sys.modules[module.__name__] = module
    pool = make(1)
    try:
        error = pool.submit(module.function).exception(20)
    finally:
        del sys.modules[module.__name__]
    assert type(error) is futures.process.BrokenProcessPool
    if futures.__name__ == "futures_c":
        assert type(error.__cause__) is ModuleNotFoundError
        assert pool.submit(abs, -1).result(20) == 1
    pool.shutdown()


@pytest.mark.fault("a result whose unpickling uses the pool")
@pytest.mark.parametrize("how", ["submit", "result", "shutdown"])
def test_a_result_whose_unpickling_calls_back_into_the_pool(make, how):
    pool = make(2)
    cargo.here["pool"] = pool
    try:
        result = pool.submit(cargo.give_calling, how).result(20)
    finally:
        cargo.here.clear()
    assert result[0] == how
    if how == "submit":
        assert result[1].result(20) == 5
    elif how == "result":
        assert result[1] == 5
    pool.shutdown()


# --- exceptions ------------------


@pytest.mark.parametrize(
    "kind", [ValueError, KeyError, SystemExit, KeyboardInterrupt, GeneratorExit]
)
def test_an_exception_arrives_with_its_traceback_as_cause(futures, pool, kind):
    error = pool.submit(jobs.fail, kind, "text").exception(30)
    assert type(error) is kind and error.args == ("text",)
    assert isinstance(error.__cause__, futures.process._RemoteTraceback)
    said = str(error.__cause__)
    assert said.startswith('\n"""\n') and said.endswith('"""')
    assert "raise kind(*args)" in said and kind.__name__ in said
    assert error.__traceback__ is None
    with pytest.raises(kind):
        pool.submit(jobs.fail, kind, "text").result(30)


@pytest.mark.fault("gh-132063")
@pytest.mark.parametrize("kind", [cargo.FalsyByBool, cargo.FalsyByLen])
def test_gh132063_an_exception_that_is_false(make, kind):
    pool = make(1)
    with pytest.raises(kind):
        pool.submit(jobs.fail, kind).result(20)
    assert type(pool.submit(jobs.fail, kind).exception(20)) is kind
    pool.shutdown()


@pytest.mark.fault("gh-101267")
def test_gh101267_an_error_shows_only_where_its_own_future_was_asked(make, gate):
    pool = make(1, **gate.options)
    pending = [pool.submit(jobs.hold)]
    pending += [pool.submit(jobs.act, "kill") for _ in range(4)]
    gate.open()
    depths = []
    for future in pending[1:]:
        with pytest.raises(RuntimeError) as info:
            future.result(20)
        depths.append(len(info.traceback))
    assert len(set(depths)) == 1
    pool.shutdown()


def test_exceptions_that_are_returned_are_results(pool):
    error = pool.submit(jobs.identity, ValueError("text")).result(30)
    assert type(error) is ValueError and error.args == ("text",)


def test_exception_groups_and_notes(pool):
    error = pool.submit(cargo.raise_group).exception(30)
    assert isinstance(error, ExceptionGroup)
    assert [type(e) for e in error.exceptions] == [ValueError, TypeError]
    assert error.__notes__ == ["a note"]
