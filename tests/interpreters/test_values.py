"""Values of each kind, there and back."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import functools
import gc
import math
import operator
import types

import pytest

from . import jobs, kit


def nested(depth: int) -> object:
    value: object = "core"
    for n in range(depth):
        value = (value, n)
    return value


PLAIN = {
    "None": None,
    "True": True,
    "small": 7,
    "negative": -(2**31),
    "word": 2**63 - 1,
    "beyond a word": 2**63,
    "huge": -(3**4000),
    "float": 1.5,
    "infinity": -math.inf,
    "empty": "",
    "str": "text",
    "latin-1": "\xe9t\xe9",
    "two bytes": "\u20ac" * 3,
    "four bytes": "\U0001f600x",
    "lone surrogate": "\ud800x\udfff",
    "nul": "a\0b",
    "long str": "ab" * 1500,
    "longer str": "\u20ac" * 50_000,
    "bytes": b"\0\xff",
    "long bytes": bytes(range(256)) * 20,
    "megabytes": b"x" * 5_000_000,
    "tuple": (1, "a", (None, b"b", (2.5, ()))),
    "many long parts": tuple("z" * (3000 + n) for n in range(20)),
    "depth 8": nested(8),
    "depth 9": nested(9),
    "depth 200": nested(200),
}

OTHERS = {
    "list": [1, [2, [3]]],
    "dict": {"a": {1: 2}, None: (1,)},
    "set": {1, 2},
    "frozenset": frozenset("ab"),
    "bytearray": bytearray(b"abc"),
    "complex": 1 + 2j,
    "range": range(3, 9, 2),
    "slice": slice(1, None),
    "ellipsis": ...,
    "NotImplemented": NotImplemented,
    "dataclass": jobs.Point(1, [2]),
    "enum": jobs.Color.BLUE,
    "class": jobs.Point,
    "builtin class": dict,
    "function": jobs.same,
    "builtin": len,
    "decimal": decimal.Decimal("1.50"),
    # Until 3.12 interpreters fall back on the one that is not native.
    "date": datetime.date(2020, 2, 29) if kit.SHARES else None,
    "array": array.array("d", [1.5, 2.5]),
    "deque": collections.deque([1], 3),
    "exception": LookupError("x", 1),
    "main in a string": ["__main__", b"__main__"],
}


def alike(one, other):
    if one is not other and isinstance(other, types.FunctionType):
        # The standard module takes some apart.
        return one.__code__ == other.__code__
    if isinstance(one, BaseException):
        return one.args == other.args
    return one == other


@pytest.mark.parametrize("values", [PLAIN, OTHERS], ids=["plain", "others"])
def test_values_there_and_back(pool, values):
    for name, value in values.items():
        result = pool.submit(jobs.same, value).result(30)
        assert type(result) is type(value), name
        assert alike(result, value), name
        kind, text = pool.submit(jobs.kind_and_text, value).result(30)
        assert kind == type(value).__qualname__, name
        if not isinstance(value, (set, frozenset)) and "0x" not in text:
            assert text == repr(value), name


def test_nan_and_the_sign_of_zero(pool):
    assert math.isnan(pool.submit(jobs.same, math.nan).result())
    assert math.copysign(1, pool.submit(jobs.same, -0.0).result()) == -1


def test_subclasses_of_plain_types_keep_their_type(pool):
    result = pool.submit(jobs.same, jobs.Shout("word")).result()
    assert type(result) is jobs.Shout and result == "word"


def test_what_is_one_object_stays_one(pool):
    shared = [1]
    first, second = pool.submit(jobs.same, [shared, shared]).result()
    assert first is second


def test_cycles(pool):
    value: list = []
    value.append(value)
    result = pool.submit(jobs.same, value).result()
    assert result[0] is result


def test_arguments_by_position_and_keyword(pool):
    assert pool.submit(jobs.keywords).result() == ((), {})
    assert pool.submit(jobs.keywords, 1, b="x").result() == ((1,), {"b": "x"})
    assert pool.submit(jobs.keywords, 1, b="x").result() == ((1,), {"b": "x"})
    assert pool.submit(jobs.keywords, c=[None]).result() == ((), {"c": [None]})
    assert pool.submit(dict, a=1, fn=2, self=3).result() == {
        "a": 1, "fn": 2, "self": 3,
    }  # fmt: skip


def test_callables_of_all_kinds(pool):
    submit = pool.submit
    point = jobs.Point(1, [2])
    assert submit(point.moved, 4).result() == jobs.Point(5, [2])
    assert submit(jobs.Point.moved, point, 4).result() == jobs.Point(5, [2])
    assert submit(jobs.Point.origin).result() == jobs.Point(0)
    assert submit(jobs.Point.named).result() == "Point"
    assert submit(jobs.Point, 1, y=[3]).result() == jobs.Point(1, [3])
    assert submit(functools.partial(pow, 2), 5).result() == 32
    assert submit(functools.partial(jobs.keywords, 1, a=2), b=3).result() == (
        (1,), {"a": 2, "b": 3},
    )  # fmt: skip
    assert submit(operator.itemgetter(1), "abc").result() == "b"
    assert submit("a-b".split, "-").result() == ["a", "b"]
    assert submit(str.upper, "a").result() == "A"
    assert submit([3, 1, 2].index, 1).result() == 1


def test_functions_as_arguments(pool):
    assert list(pool.submit(jobs.same, [abs, jobs.same]).result()) == [abs, jobs.same]
    assert pool.submit(sorted, [-3, 2], key=abs).result() == [2, -3]


def test_what_changes_there_does_not_change_here(pool):
    value = [3, 1, 2]
    assert pool.submit(list.sort, value).result() is None
    assert value == [3, 1, 2]


@pytest.mark.keeps(
    "bytes", reason="malloc() counts what is left of a hole and too small for itself"
)
def test_large_values_by_turns(pool):
    for size in 10, 70_000, 3, 5_000_000, 0, 65_536, 65_537, 1:
        assert pool.submit(bytes, size).result() == bytes(size)
        assert pool.submit(len, [bytes(size)] * 2).result() == 2
        assert pool.submit(jobs.same, [b"x" * size]).result() == [b"x" * size]


# --- shared memory -------------------------------------------------------------

shares = pytest.mark.skipif(
    not kit.SHARES, reason="interpreters share no memory before Python 3.13"
)


@shares
def test_a_memoryview_is_shared_and_not_copied(pool):
    memory = bytearray(b"\1" * 10)
    view = memoryview(memory)
    assert pool.submit(jobs.fill, view, 7).result() == 1
    assert memory == b"\7" * 10


@shares
def test_both_sides_see_the_memory_at_once(pool):
    memory = bytearray(1)
    future = pool.submit(jobs.wait_for_byte, memoryview(memory), 9)
    assert not future.done()
    memory[0] = 9
    assert future.result(30) != jobs.number()


@shares
def test_part_of_a_memoryview(pool):
    memory = bytearray(b"\1\1")
    future = pool.submit(jobs.fill, memoryview(memory)[1:], 7)
    assert future.result() == 1
    assert memory == b"\1\7"


@shares
def test_a_memoryview_comes_back(pool):
    memory = bytearray(b"abc")
    result = pool.submit(jobs.same, memoryview(memory)).result()
    assert bytes(result) == b"abc"
    del result
    # What one side gives up, the other one has to do first.
    pool.submit(abs, 1).result()


def made_view(kind, format, shape):
    view = memoryview(kind(range(12)))
    return view.cast(format) if shape is None else view.cast(format, shape)


@shares
@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("format, shape", [("B", None), ("i", None), ("h", (2, 3))])
def test_a_memoryview_outlives_its_interpreter(make, kind, format, shape):
    with make() as pool:
        future = pool.submit(made_view, kind, format, shape)
        none = pool.submit(made_view, bytes, "B", None).result()[:0]
    result = future.result()
    expected = made_view(kind, format, shape)
    assert type(result) is memoryview and result == expected
    assert (result.format, result.shape) == (expected.format, expected.shape)
    assert result.readonly == expected.readonly
    del future, result, none
    gc.collect()


@pytest.mark.skipif(not kit.STANDARD, reason="concurrent.interpreters is new in 3.14")
def test_queues_of_concurrent_interpreters(make):
    from concurrent import interpreters

    pool = make()
    there, back = interpreters.create_queue(), interpreters.create_queue()
    future = pool.submit(echo_queue, there, back)
    for value in 1, "two", [3]:
        there.put(value)
        assert back.get(timeout=30) == value
    there.put(None)
    assert future.result(30) == 3


def echo_queue(there, back):
    """Send back what comes, until None does."""
    count = 0
    while (value := there.get(timeout=30)) is not None:
        back.put(value)
        count += 1
    return count
