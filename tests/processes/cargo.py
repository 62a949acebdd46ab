"""What travels in test_pool_payloads.py.  Imports little, as jobs.py."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

from .jobs import kept

#: What the parent puts down for objects that are unpickled there.
here: dict[str, Any] = {}


def answer(sent: bytes, wanted: int) -> tuple[int, bytes]:
    """Return the length of *sent*, and its first byte so many times."""
    return len(sent), (sent[:1] or b"\0") * wanted


def pair(first: object, second: object) -> tuple[object, object]:
    """Return both arguments."""
    return first, second


class Buffered:
    """Its bytes travel out of band where the protocol allows it."""

    def __init__(self, buffer: Any) -> None:
        self.view = memoryview(buffer)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if protocol >= 5:
            return Buffered, (pickle.PickleBuffer(self.view),)
        copy: type = bytes if self.view.readonly else bytearray
        return Buffered, (copy(self.view),)


def make_buffered(size: int) -> Buffered:
    """Return a writable one."""
    return Buffered(bytearray(size))


def scribble(value: Buffered) -> int:
    """Write all over an argument; return the sum of what was there."""
    before = sum(value.view)
    if not value.view.readonly:
        value.view[:] = b"z" * len(value.view)
    return before


def zeros(count: int) -> Any:
    """Return an array of zeros."""
    import numpy

    return numpy.zeros(count)


def filled(count: int, value: int) -> Any:
    """Return an array of the one value."""
    import numpy

    return numpy.full(count, value)


def say(where: Any, what: bytes) -> int:
    """Send by a socket."""
    with where:
        return int(where.send(what))


def say_by_connection(where: Any, what: object) -> None:
    """Send by a Connection."""
    with where:
        where.send(what)


def lock_is_free() -> bool:
    """Whether nobody has the lock that the initializer has brought."""
    if kept["lock"].acquire(timeout=0.05):
        kept["lock"].release()
        return True
    return False


class Registered:
    """Somebody registers a reducer for it, or two."""

    def __init__(self, text: str) -> None:
        self.text = text


def reduce_registered(value: Registered) -> tuple[Any, ...]:
    """As registered with copyreg."""
    return str, (f"by copyreg: {value.text}",)


def reduce_for_forking(value: Registered) -> tuple[Any, ...]:
    """As registered with ForkingPickler."""
    return str, (f"for forking: {value.text}",)


class Replaced:
    """What a function is replaced by in a worker."""

    def __call__(self, *args: object) -> object:
        return ("replaced", *args)


def reduce_function(function: Callable[..., object]) -> tuple[Any, ...]:
    """As registered for functions."""
    return Replaced, ()


def keywords(**kwargs: object) -> dict[str, object]:
    """Return the keyword arguments."""
    return kwargs


def collect(*args: object, **kwargs: object) -> tuple[object, object]:
    """Return all arguments."""
    return args, kwargs


class Counter:
    """A callable with a state."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __call__(self, more: int) -> int:
        return self.start + more

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counter) and other.start == self.start

    __hash__ = None  # type: ignore[assignment]

    bound = __call__

    @staticmethod
    def static(value: int) -> int:
        """Return the argument."""
        return value

    @classmethod
    def of_class(cls) -> str:
        """Return the name of the class."""
        return cls.__name__


class Outer:
    """Has a class whose function is found by a dotted name."""

    class Inner:
        """The class."""

        @staticmethod
        def method(value: int) -> int:
            """Return the argument."""
            return value


def _functions(count: int) -> None:
    lines = [f"def function_{i}(): return {i}" for i in range(0, count, 7)]
    exec("\n".join(lines), globals())


_functions(6000)


def versioned() -> int:
    """Return what it returns now."""
    return 1


def _replaced_elsewhere() -> int:
    return 1


replaced_elsewhere = _replaced_elsewhere
# By this name pickle finds another function.
replaced_elsewhere.__qualname__ = replaced_elsewhere.__name__ = "versioned"


class Refuses:
    """Cannot be pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        raise self.error


def make_lambda() -> Callable[[], None]:
    """Return what cannot be pickled."""
    return lambda: None


def make_refusing(text: str) -> Refuses:
    """Return what cannot be pickled, with an error of its own."""
    return Refuses(ValueError(text))


def raise_unpicklable() -> None:
    """Raise an exception that cannot be pickled."""
    raise ValueError(threading.Lock())


class TwoArgumentError(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(first)


def raise_two_argument_error() -> None:
    """Raise it."""
    raise TwoArgumentError(1, 2)


def _call(how: str) -> tuple[str, object]:
    pool = here["pool"]
    if how == "submit":
        return how, pool.submit(abs, -5)
    if how == "result":
        return how, pool.submit(abs, -5).result(15)
    return how, pool.shutdown(wait=False)


class Calling:
    """Whoever unpickles it uses the pool."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        return _call, (self.how,)


def give_calling(how: str) -> Calling:
    """Return it."""
    return Calling(how)


class FalsyByBool(Exception):
    """An exception that is false."""

    def __bool__(self) -> bool:
        return False


class FalsyByLen(Exception):
    """An exception that is empty."""

    def __len__(self) -> int:
        return 0


def raise_group() -> None:
    """Raise several at once."""
    group = ExceptionGroup("several", [ValueError(1), TypeError(2)])
    group.add_note("a note")
    raise group
