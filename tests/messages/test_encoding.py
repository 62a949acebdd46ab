"""Objects as messages to another process: `src/python/values.c`, `pickling.c`.

What is plain is encoded without pickle; everything else by pickle, with large
buffers behind it.  Both ends are the same program on the same machine, and
still nothing that arrives is believed.
"""

from __future__ import annotations

import copyreg
import gc
import math
import os
import pickle
import sys
import threading
import weakref
from multiprocessing.reduction import ForkingPickler

import pytest

from futures_c._native import _decode, _encode

PLAIN = ord("v")
PICKLED = ord("p")

PLAIN_VALUES = [
    None,
    True,
    False,
    *(
        sign * (2**bits + add)
        for bits in (0, 7, 8, 31, 32, 62)
        for add in (-1, 0, 1)
        for sign in (1, -1)
    ),
    2**63 - 1,
    -(2**63),
    0.0,
    -0.0,
    1.5,
    math.inf,
    sys.float_info.min,
    "",
    "abc",
    "\x7f\x80",
    "\xff",
    "€",
    "\N{GRINNING FACE}",
    "\ud800",
    "a\0b",
    *(
        character * size
        for character in "aä€\N{GRINNING FACE}"
        for size in (255, 2047, 2048, 5000)
    ),
    b"",
    b"\0\xff",
    *(bytes([65]) * size for size in (255, 256, 2047, 2048, 100_000)),
    (),
    (1,),
    (None, "x", (b"y", (2.5, ()))),
    tuple(range(1000)),
    ("x" * 3000, b"y" * 3000, 1, "z" * 3000),
]


class Text(str):
    """No plain str."""

    __slots__ = ()


class Number(int):
    """No plain int."""


class Buffer:
    """Gives its buffer out of band, as arrays do."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        assert protocol >= 5
        return Buffer, (pickle.PickleBuffer(self.data),)


def nested(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


NOT_PLAIN = [
    2**63,
    -(2**63) - 1,
    [1],
    {"a": 1},
    {1, 2},
    1j,
    Text("abc"),
    Number(5),
    (1, [2]),
    (Text("abc"),),
    nested(8),
    nested(100),
    range(5),
    len,
    OSError,
    ("x" * 5000, [b"y" * 5000]),
]


def same(one, other):
    return type(one) is type(other) and (
        all(map(same, one, other)) and len(one) == len(other)
        if isinstance(one, tuple)
        else repr(one) == repr(other)
    )


@pytest.mark.parametrize("value", PLAIN_VALUES, ids=lambda value: repr(value)[:20])
def test_plain_values(value):
    message = _encode(value)
    assert message[0] == PLAIN
    assert same(_decode(message), value)


def test_nan_is_a_nan():
    assert math.isnan(_decode(_encode(math.nan)))


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: repr(value)[:20])
def test_everything_else_is_pickled(value):
    message = _encode(value)
    assert message[0] == PICKLED
    assert same(_decode(message), value)


def test_the_same_object_twice_stays_one_object():
    one = ["x"]
    pair = _decode(_encode((one, one)))
    assert pair[0] is pair[1]


@pytest.mark.parametrize("size", [0, 100, 4095, 4096, 4097, 1_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_buffers_out_of_band(kind, size):
    data = kind(os.urandom(size))
    thing = _decode(_encode([Buffer(data), Buffer(data), 5]))
    assert bytes(thing[0].data) == bytes(thing[1].data) == bytes(data)
    assert memoryview(thing[0].data).readonly == (kind is bytes)


def test_buffers_are_aligned_and_stay_where_they_are():
    sizes = [5000, 4097, 70_000]
    datas = [bytearray(os.urandom(size)) for size in sizes]
    owner = bytearray(_encode(["x" * 3001, *map(Buffer, datas)]))
    things = _decode(owner, owner)[1:]
    for thing, data in zip(things, datas):
        assert thing.data == data
        offset = owner.index(bytes(data))
        assert offset % 64 == 0
        # No copy: it is the owner's memory.
        thing.data[0] ^= 255
        assert owner[offset] == thing.data[0]
    with pytest.raises(BufferError):
        owner.clear()
    del things, thing
    gc.collect()
    owner.clear()


def test_a_buffer_that_is_not_contiguous():
    """Such a one cannot be pickled out of band, and in band neither."""
    with pytest.raises((BufferError, pickle.PicklingError)):
        _encode(Buffer(memoryview(bytearray(100_000))[::2]))
    assert _decode(_encode([1])) == [1]


def test_what_is_changed_by_a_later_reducer_was_copied_before():
    data = bytearray(b"a" * 10_000)

    class Changes:
        def __reduce__(self):
            data[:] = b"b" * len(data)
            return (str, ())

    assert _decode(_encode([data, Changes()]))[0] == b"a" * 10_000


def test_reducers_of_multiprocessing_and_of_the_user():
    """Each looked up when it is needed, also those registered later."""

    class Thing:
        pass

    with pytest.raises((pickle.PicklingError, AttributeError)):
        _encode(Thing())
    ForkingPickler.register(Thing, lambda thing: (str, ("by ForkingPickler",)))
    try:
        assert _decode(_encode(Thing())) == "by ForkingPickler"
    finally:
        del ForkingPickler._extra_reducers[Thing]
    copyreg.pickle(Thing, lambda thing: (str, ("by copyreg",)))
    try:
        assert _decode(_encode(Thing())) == "by copyreg"
    finally:
        del copyreg.dispatch_table[Thing]


def test_a_pickler_class_that_somebody_has_put_there(monkeypatch):
    class Mine(ForkingPickler):
        def reducer_override(self, thing):
            return (str, ("mine",)) if isinstance(thing, range) else NotImplemented

    _encode([1])
    monkeypatch.setattr("multiprocessing.reduction.ForkingPickler", Mine)
    assert _decode(_encode(range(3))) == "mine"
    monkeypatch.undo()
    assert _decode(_encode(range(3))) == range(3)


@pytest.mark.parametrize(
    "error", [ValueError, RecursionError, KeyboardInterrupt, SystemExit]
)
def test_what_a_reducer_raises(error):
    class Fails:
        def __reduce__(self):
            raise error("from the reducer")

    for value in (Fails(), [b"x" * 5000, Fails()], (1, [Fails()])):
        with pytest.raises(error, match="from the reducer"):
            _encode(value)
        assert _decode(_encode([1, "x"])) == [1, "x"]


def test_a_reducer_that_encodes_something_itself():
    class Nests:
        def __reduce__(self):
            return (bytes, (_encode([b"inner" * 1000]),))

    inner = _decode(_encode([Nests(), b"outer" * 1000]))
    assert _decode(inner[0]) == [b"inner" * 1000]
    assert inner[1] == b"outer" * 1000


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept(fails):
    class Thing:
        def __reduce__(self):
            if fails:
                raise ValueError
            return (str, ())

    thing = Thing()
    reference = weakref.ref(thing)
    data = bytearray(10_000)
    try:
        _encode([thing, Buffer(data)])
    except ValueError:
        pass
    del thing
    gc.collect()
    assert reference() is None
    data.clear()  # Nobody holds the buffer.


@pytest.mark.stress
def test_several_threads_at_once():
    failed = []

    def work(number):
        for i in range(300):
            value = [number, i, "x" * (i * 17), Buffer(bytes([number]) * 5000)]
            back = _decode(_encode(value))
            if back[:3] != value[:3] or bytes(back[3].data) != value[3].data:
                failed.append(number)

    threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("cut", range(12))
def test_a_message_that_is_cut_short(cut):
    for value in ((1, "abc", b"x", 2.5), "€" * 5, 2**40):
        message = _encode(value)
        with pytest.raises(ValueError, match="damaged"):
            _decode(message[: min(cut, len(message) - 1)])


def test_a_message_with_something_behind_it():
    with pytest.raises(ValueError, match="damaged"):
        _decode(_encode(1) + b"x")


@pytest.mark.stress
def test_random_bytes_are_rejected(rng):
    """What pickle itself does with nonsense is its own affair."""
    plain = _encode((1, "abc", "€ä", b"x", (2.5, None, True), 2**40))
    for _ in range(20_000):
        message = bytearray(plain)
        for _ in range(rng.randrange(1, 4)):
            message[rng.randrange(1, len(message))] = rng.randrange(256)
        del message[rng.randrange(1, 2 * len(message)) :]
        try:
            _decode(bytes(message))
        except ValueError:
            pass
    pickled = _encode([Buffer(b"x" * 5000), Buffer(b"y" * 6000)])
    table = len(pickled) - 28
    for _ in range(5000):
        message = bytearray(pickled)
        for _ in range(rng.randrange(1, 4)):
            message[rng.randrange(table, len(message))] = rng.randrange(256)
        try:
            _decode(bytes(message))
        except (ValueError, pickle.UnpicklingError, EOFError):
            pass
