"""Libraries that patch threads, or pools, in ways that install() has to know.

- gevent and eventlet make threads of greenlets.  A native executor waits where
  they do not see it, and would block them all.
- ddtrace replaces the code of ``submit``, which a native method does not have.
- uvloop keeps copies of the standard names where nobody can replace them.
"""

from __future__ import annotations

import _thread
import sys
import threading
from importlib import import_module
from types import BuiltinFunctionType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

# How threading starts a thread; 3.13 renamed it.
_START = (
    "_start_joinable_thread"
    if hasattr(threading, "_start_joinable_thread")
    else "_start_new_thread"
)


# --- threads ------------------------------------------------------------------


def patched_by() -> str:
    """Say why threads are not the system's own; else return an empty text."""
    for function in (getattr(threading, _START), _thread.start_new_thread):
        if not isinstance(function, BuiltinFunctionType):
            module = getattr(function, "__module__", None) or "somebody"
            return f"threading is monkey-patched by {module.partition('.')[0]}"
    return ""


def refuse_greenlets() -> None:
    """Raise RuntimeError where a new thread would be a greenlet.

    Others may replace what starts threads as they like; a worker of ours in a
    greenlet would never let another one run.
    """
    module = getattr(getattr(threading, _START), "__module__", None) or ""
    if module.startswith(("gevent.", "eventlet.")):
        raise RuntimeError(
            f"{patched_by()}: a native executor would block all of its tasks. "
            "Patch before the executor's class is imported or subclassed, or use "
            "that of concurrent.futures"
        )


def _watch_gevent(
    events: ModuleType, changed: Callable[[], None]
) -> Callable[[], None]:
    """Call *changed* when gevent has patched something.

    *events* is the module ``gevent.events``.
    """

    def told(event: object) -> None:
        # All events of a program that uses zope.event come here.
        if type(event).__module__ == events.__name__:
            changed()

    events.subscribers.append(told)

    def forget() -> None:
        if told in events.subscribers:
            events.subscribers.remove(told)

    return forget


def _watch_eventlet(
    patcher: ModuleType, changed: Callable[[], None]
) -> Callable[[], None]:
    """Call *changed* when eventlet has patched something.

    *patcher* is the module ``eventlet.patcher``.
    """
    original = vars(patcher).get("monkey_patch")
    if original is None:
        return lambda: None  # It is being loaded: we are called again.

    def monkey_patch(**on: bool) -> None:
        original(**on)
        changed()

    monkey_patch.__doc__ = original.__doc__
    package = vars(sys.modules["eventlet"])

    def put(old: object, new: object) -> None:
        for space in (vars(patcher), package):
            if space.get("monkey_patch") is old:
                space["monkey_patch"] = new

    put(original, monkey_patch)
    return lambda: put(monkey_patch, original)


# --- pools --------------------------------------------------------------------


# The module of ddtrace that patches ours of that name.
_DDTRACE = "ddtrace.contrib.internal.futures.patch"


def _give_code_to_submit(
    _: ModuleType, changed: Callable[[], None]
) -> Callable[[], None]:
    """Make ``submit`` a function in Python, whose code ddtrace can replace."""
    thread = import_module("futures_c.thread")
    pool: Any = thread.ThreadPoolExecutor
    native = pool.submit
    if isinstance(native, FunctionType):
        return lambda: None

    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return native(self, fn, *args, **kwargs)

    submit.__qualname__ = native.__qualname__
    submit.__doc__ = native.__doc__
    pool.submit = submit
    # It may have done so with the standard one, the moment that this was loaded.
    patcher: Any = sys.modules.get(_DDTRACE)
    mark = "__datadog_patch"
    if patcher is not None and getattr(thread, mark, False):
        setattr(thread, mark, False)
        patcher.patch()

    def take_back() -> None:
        vars(thread).pop(mark, None)
        if vars(pool).get("submit") is submit:
            del pool.submit

    return take_back


def replaced_methods(cls: type) -> Iterator[tuple[str, str]]:
    """The public methods of a standard class that somebody has replaced.

    Each with the module that the replacement is from.
    """
    module = vars(sys.modules[cls.__module__])
    for name, value in list(vars(cls).items()):
        if name.startswith("_") or isinstance(value, (classmethod, type)):
            continue
        by: object = type(value).__module__
        # By its exact type: wrappers say that they are what they wrap.
        if type(value) is FunctionType:
            by = value.__globals__.get("__name__")
            if value.__globals__ is module:
                # No compiler makes constants that can be called.
                others = [one for one in value.__code__.co_consts if callable(one)]
                if not others:
                    continue
                by = getattr(others[0], "__module__", None)
        if name == "submit" and str(by).startswith("ddtrace."):
            continue  # See above.
        yield f"{cls.__module__}.{cls.__qualname__}.{name}", str(by)


# Modules in C that have copies of their own which nobody can see or replace.
SEALED = {"uvloop.loop": "ThreadPoolExecutor and wrap_future"}

# What is done about which module when it is loaded; each returns what undoes it.
WATCHED = {
    "ddtrace": _give_code_to_submit,
    "eventlet.patcher": _watch_eventlet,
    "gevent.events": _watch_gevent,
}
