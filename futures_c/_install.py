"""Putting the native names in the place of the standard ones, and back.

1. The standard package, its submodules and ours are loaded, so that whatever
   ours take from the standard ones is standard.
2. The names are replaced: in the package and its submodules, in modules that
   the caller lists, and for asyncio.
3. Processes that multiprocessing starts from now on do the same, before they
   load the program's main module.

Each step is noted with what takes it back.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from importlib import import_module
from types import FunctionType, ModuleType

from futures_c import _others, _startup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

STANDARD = "concurrent.futures"
PARTS = ("_base", "thread", "process", "interpreter")

# What people import, and so may have a copy of.
_NAMES = (
    "Future",
    "InterpreterPoolExecutor",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "as_completed",
    "wait",
)

# A name that a module does not have: also what it is restored to.
_ABSENT: Any = object()

# Reentrant, for signal handlers; a child is forked when nobody else has it, or it
# would have names that are half replaced.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_lock.release,
    )


class _State:
    """What install() has done, and how it is undone."""

    installed = False
    # An exception has come in the middle, and what is there has to be undone first.
    unsettled = False
    reason = ""
    # What replaces what, by the identity of the standard object.
    counterparts: dict[int, tuple[object, object]] = {}
    undo: list[Callable[[], None]] = []
    modules: set[str] = set()
    # The watched modules that have been seen to.
    seen: set[str] = set()
    # Methods of standard classes, and who had replaced them before.
    replaced: dict[str, str] = {}
    # Modules with copies that cannot be replaced.
    sealed: set[str] = set()


_state = _State()


class Status:
    """What of ``concurrent.futures`` is native in this process.

    Attributes:
        installed: whether install() is in force.
        reason: why it is not although it was asked for; otherwise empty.
        native: the qualified names that are native, sorted.
        standard: what is not, by its qualified name, each with the reason.
        modules: the modules whose own copies were replaced, sorted.

    Since 0.1.

    """

    def __init__(
        self,
        installed: bool,
        reason: str,
        native: list[str],
        standard: dict[str, str],
        modules: list[str],
    ) -> None:
        self.installed = installed
        self.reason = reason
        self.native = native
        self.standard = standard
        self.modules = modules

    def __repr__(self) -> str:
        return (
            f"<futures_c status: {'installed' if self.installed else 'not installed'},"
            f" {len(self.native)} names native, {len(self.standard)} standard>"
        )

    def __str__(self) -> str:
        """All of it as text, a line for each name."""
        lines = ["futures_c is " + ("installed" if self.installed else "not installed")]
        if self.reason:
            lines[0] += f": {self.reason}"
        lines += [f"native    {name}" for name in self.native]
        lines += [
            f"standard  {name}" + (f" ({why})" if why else "")
            for name, why in self.standard.items()
        ]
        lines += [f"replaced in {name}" for name in self.modules]
        return "\n".join(lines)


# --- what is where ------------------------------------------------------------


def _load(package: str, part: str) -> ModuleType | None:
    """Import a submodule; those of interpreter pools are not everywhere."""
    try:
        module = import_module(f"{package}.{part}")
    except ImportError:
        if part != "interpreter":
            raise
        return None
    _startup.demand_loaded(module)
    return module


def _load_all() -> dict[str, tuple[ModuleType, ModuleType]]:
    """Load all standard modules, then all of ours; the pairs by name."""
    # Whoever asks for a submodule first waits for the package, and whoever loads
    # the package waits for him: with two threads one of them gets an error.
    import_module(STANDARD)
    standard = {part: _load(STANDARD, part) for part in PARTS}
    pairs = {}
    for part, module in standard.items():
        ours = _load("futures_c", part) if module is not None else None
        if module is not None and ours is not None:
            pairs[part] = (module, ours)
    return pairs


def _copies(standard: dict[int, tuple[object, object]]) -> dict[str, list[str]]:
    """Which loaded modules have standard objects of their own, under what names."""
    found: dict[str, list[str]] = {}
    seen = set()
    for name, module in list(sys.modules.items()):
        # multiprocessing has the main module under two names.
        if not isinstance(module, ModuleType) or _is_ours(name) or id(module) in seen:
            continue
        seen.add(id(module))
        space = vars(module)
        # Few have any, and this loop is not Python's.
        if standard.keys().isdisjoint(map(id, list(space.values()))):
            continue
        for key, value in list(space.items()):
            if id(value) in standard and standard[id(value)][0] is value:
                found.setdefault(name, []).append(key)
    return found


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "futures_c" or (
        f"{name}.".startswith(f"{STANDARD}.")
    )


def _subclasses(standard: dict[int, tuple[object, object]]) -> Iterator[str]:
    """The classes that others have derived from standard ones."""
    for old, new in standard.values():
        if isinstance(old, type):
            derived: list[type] = type.__subclasses__(old)
            for cls in derived:
                if cls is not new and not _is_ours(cls.__module__):
                    yield f"{cls.__module__}.{cls.__qualname__}"


def _replaced_methods() -> dict[str, str]:
    """The methods of standard classes that others have replaced, and who."""
    return {
        method: by
        for old, _ in _state.counterparts.values()
        if isinstance(old, type)
        for method, by in _others.replaced_methods(old)
    }


def _covers(listed: Iterable[str], name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in listed)


# --- replacing ------------------------------------------------------------------


def _put(space: dict[str, Any], name: str, value: object) -> None:
    """Set a name, and note what it was."""
    old = space.get(name, _ABSENT)
    if old is value:
        return

    def restore() -> None:
        # Unless somebody else has replaced it since.
        if space.get(name, _ABSENT) is value:
            if old is _ABSENT:
                del space[name]
            else:
                space[name] = old

    _state.undo.append(restore)
    space[name] = value


def _match(pairs: dict[str, tuple[ModuleType, ModuleType]]) -> None:
    """Note what replaces what: what both modules define, and differently."""
    _state.counterparts.clear()
    for standard, ours in pairs.values():
        for name, value in list(vars(ours).items()):
            old = vars(standard).get(name)
            if (
                not name.startswith("_")
                and callable(value)
                and old not in (None, value)
            ):
                _state.counterparts[id(old)] = (old, value)


def _replace_standard(pairs: dict[str, tuple[ModuleType, ModuleType]]) -> None:
    """Replace the names of the standard package and of its submodules."""
    package = vars(sys.modules[STANDARD])
    for standard, _ in pairs.values():
        _replace_in(vars(standard), _state.counterparts)
    _replace_in(package, _state.counterparts)
    for old, new in _state.counterparts.values():
        # The package loads some of these when they are first asked for.
        name = getattr(old, "__name__", "")
        if name in _NAMES:
            _put(package, name, new)
    for part, (_, ours) in pairs.items():
        # Also the modules: programs that are interrupted clear the private
        # `_threads_queues` of one, which has to be the one that is in use.  Who
        # has the standard module already finds the replaced names there.
        _put(package, part, ours)
        _put(sys.modules, f"{STANDARD}.{part}", ours)


def _replace_in(
    space: dict[str, Any], counterparts: dict[int, tuple[object, object]]
) -> None:
    for key, value in list(space.items()):
        old, new = counterparts.get(id(value), (_ABSENT, _ABSENT))
        if old is value:
            _put(space, key, new)


def _namespaces(module: ModuleType) -> list[dict[str, Any]]:
    """What a module's code takes for its global names.

    That of a main module that a fork server has loaded is not the module's own:
    runpy ran it, and multiprocessing copied what came of it.
    """
    spaces = [vars(module)]
    for value in list(vars(module).values()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            if not any(value.__globals__ is space for space in spaces):
                spaces.append(value.__globals__)
    return spaces


# --- asyncio --------------------------------------------------------------------
#
# asyncio asks whether something is an instance of `concurrent.futures.Future` or
# `ThreadPoolExecutor`.  What was made before install() is no instance of ours; but
# ours are instances of the standard ones, which so are what it should ask for.


class _Either(type):
    """A class that makes native instances, and knows standard ones as well."""

    native: Any
    standard: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.native(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.standard)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.standard)


class _Seen(ModuleType):
    """A module as asyncio sees it: all names are those of the real one, but..."""

    def __init__(self, real: ModuleType, others: Callable[[Any], Any]) -> None:
        super().__init__(real.__name__)
        # Not the real one's namespace: a test may replace a name of it meanwhile.
        self.__dict__["_real"] = real
        self.__dict__["_others"] = others

    def __getattr__(self, name: str) -> Any:
        return self._others(getattr(self._real, name))

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._real, name)


def _wrap_natively(module: Any) -> Callable[..., Any]:
    """Return what ``wrap_future`` of the module ``asyncio.futures`` becomes."""
    from futures_c._native import Future, _wrap

    original = module.wrap_future

    def wrap_future(future: Any, *, loop: Any = None) -> Any:
        """Wrap a future of concurrent.futures; see asyncio's documentation."""
        # Not what says that it is one, as proxies and mocks do.
        if not issubclass(type(future), Future):
            return original(future, loop=loop)
        if loop is None:
            events = module.events
            # Up to 3.11 that one does not warn.
            get = getattr(events, "_get_event_loop", None) or events.get_event_loop
            loop = get()
        return _wrap(future, loop)

    return wrap_future


_ASYNCIO = ("asyncio.base_events", "asyncio.futures")


def _replace_for_asyncio(module: ModuleType) -> None:
    """Let a module of asyncio know what was made before install()."""
    package = sys.modules["concurrent"]
    either: dict[int, type] = {}
    for old, new in _state.counterparts.values():
        if isinstance(old, type) and isinstance(new, type):
            names = {"native": new, "standard": old, "__doc__": new.__doc__}
            either[id(new)] = _Either(old.__name__, (), names)

    def seen_by_asyncio(value: object) -> object:
        return either.get(id(value), value)

    futures = _Seen(sys.modules[STANDARD], seen_by_asyncio)

    def with_futures(value: object) -> object:
        return futures if value is futures._real else value

    if vars(module).get("concurrent") is package:
        _put(vars(module), "concurrent", _Seen(package, with_futures))
    if module.__name__ == "asyncio.futures":
        original = vars(module)["wrap_future"]
        wrap_future = _wrap_natively(module)
        _put(vars(module), "wrap_future", wrap_future)
        # The package copies it when it has been loaded: it has it, or will.
        whole = vars(sys.modules["asyncio"])

        def replace_copy(old: object, new: object) -> None:
            if whole.get("wrap_future") is old:
                whole["wrap_future"] = new

        _state.undo.append(partial(replace_copy, wrap_future, original))
        replace_copy(original, wrap_future)


# --- other libraries --------------------------------------------------------------


def see_to(module: ModuleType) -> None:
    """Do for a watched module that has been loaded what it needs."""
    with _lock:
        if not _state.installed:
            return
        _state.seen.add(module.__name__)
        if module.__name__ in _ASYNCIO:
            _replace_for_asyncio(module)
        else:
            react = _others.WATCHED[module.__name__]
            _state.undo.append(react(module, _look_at_threads))


def _see_to_loaded(names: Iterable[str]) -> list[str]:
    """Do it for these as far as they are loaded; return those that are being so.

    Their loading may have begun before anybody watched it.
    """
    loading = []
    with _lock:
        for name in names:
            module = sys.modules.get(name)
            if module is None or name in _state.seen:
                continue
            if _startup.is_loading(module):
                loading.append(name)
            else:
                see_to(module)
    return loading


def _look_at_threads() -> None:
    """Give way to the standard module if threads have been patched."""
    with _lock:
        reason = _others.patched_by()
        if not (_state.installed and reason):
            return
        native = _native_ones()
        uninstall()
        # Copies too, whenever they were made, or their executors would block
        # everything.
        for name in _copies(native):
            for space in _namespaces(sys.modules[name]):
                _replace_in(space, native)
        _state.undo.clear()
        _state.reason = reason


def _native_ones() -> dict[int, tuple[object, object]]:
    """What the native objects had replaced, by their identity."""
    return {id(new): (new, old) for old, new in _state.counterparts.values()}


# --- the interface ----------------------------------------------------------------


def install(modules: str | Iterable[str | ModuleType] = ()) -> Status:
    """Make ``concurrent.futures`` the native one for this process.

    The classes and functions of the package and of its submodules are replaced,
    in processes that multiprocessing starts later as well.  What was made
    before keeps working.  Calling it again replaces the names in *modules* that
    have come since, and changes nothing else.  Any thread may call it.

    Where threads are not the system's own, as gevent and eventlet patch them,
    the standard module stays in use, and the status says so.  When these patch
    them later, it comes back.

    Args:
        modules: the modules, or their names, that have copies of the standard
            names (``from concurrent.futures import ...``) which are to be
            replaced too, with the modules below them; "*" for all that there
            are.

    Returns:
        What status() returns.

    Raises:
        RuntimeError: it is too late: a module that is not listed has a copy of
            a standard name, a subclass of a standard class exists, one of its
            methods has been replaced, or uvloop has been imported; or the
            interpreter is shutting down.  Nothing has been replaced then.
        KeyError: a listed module is not loaded.
        TypeError: *modules* is not what it should be.

    Since 0.1.

    """
    listed = _listed(modules)
    reason = _others.patched_by()
    if reason:
        with _lock:
            _state.reason = reason
            return _status({})
    if _is_ending():
        raise RuntimeError("futures_c.install(): the interpreter is shutting down")
    # All imports before the lock: another thread may be at one of them, and want
    # the lock next.
    spawn = import_module("multiprocessing.spawn")
    pairs = _load_all()
    with _lock:
        if _state.unsettled:
            _undo_all()
        _state.reason = ""
        if not _state.installed:
            # They may have been ours when they were loaded.
            pairs = {
                part: (sys.modules[f"{STANDARD}.{part}"], ours)
                for part, (_, ours) in pairs.items()
            }
            _match(pairs)
        copies = _copies(_state.counterparts)
        for name in listed or ():
            if not any(_covers([name], loaded) for loaded in list(sys.modules)):
                raise KeyError(f"futures_c.install(): there is no module {name!r}")
        fresh = not _state.installed
        if fresh and listed is not None:
            _refuse_if_late(listed, copies)
        try:
            if fresh:
                _state.unsettled = True
                _replace_all(pairs, spawn)
            loading = _see_to_loaded((*_ASYNCIO, *_others.WATCHED))
            for name in copies:
                if listed is None or _covers(listed, name):
                    for space in _namespaces(sys.modules[name]):
                        _replace_in(space, _state.counterparts)
                    _state.modules.add(name)
            _state.unsettled = False
        except BaseException:
            # A signal's handler may raise anywhere: not half of it, then.
            if fresh:
                _undo_all()
            raise
        # What is left, without looking at every module again.
        done = _status(
            {
                name: keys
                for name, keys in copies.items()
                if listed is not None and not _covers(listed, name)
            }
        )
    if loading:
        # By another thread, which may want the lock for a module that it loads
        # next; or by this one.
        _startup.wait_until_loaded(loading)
        _see_to_loaded(loading)
    return done


def _replace_all(
    pairs: dict[str, tuple[ModuleType, ModuleType]], spawn: ModuleType
) -> None:
    """Replace all names but copies, and begin to watch what is loaded later."""
    _state.installed = True
    _state.replaced = _replaced_methods()
    _state.sealed = _others.SEALED.keys() & sys.modules.keys()
    watch = _startup.Watch(*_ASYNCIO, *_others.WATCHED)
    _state.undo.append(watch.end)
    watch.begin()
    # Before the names, and undone after them: asyncio in another thread asks what
    # is an instance of which class all the time.
    _see_to_loaded(_ASYNCIO)
    _replace_standard(pairs)
    _put(vars(spawn), "get_preparation_data", _startup.passing_on(spawn))


def _undo_all() -> None:
    """Take back what has been done, or what is left of it.

    Each step may be taken twice, where something has come in between.
    """
    _state.unsettled = True
    while _state.undo:
        _state.undo[-1]()
        _state.undo.pop()
    _state.installed = False
    _state.modules.clear()
    _state.seen.clear()
    _state.unsettled = False


def _is_ending() -> bool:
    """Whether threads can no longer be started, nor their modules be loaded."""
    return sys.is_finalizing() or getattr(threading, "_SHUTTING_DOWN", False)


def install_unasked() -> None:
    """Call install() for whoever imports ``concurrent.futures``.

    He cannot be told that it is too late, and may need what still works then: at
    exit, asyncio without threads.
    """
    if _is_ending():
        with _lock:
            _state.reason = "the interpreter was shutting down"
    else:
        install("*")


def _listed(modules: str | Iterable[str | ModuleType]) -> list[str] | None:
    """The names of the listed modules; None: all there are."""
    if isinstance(modules, str):
        if modules == "*":
            return None
        raise TypeError(
            'install(): modules must be modules or their names, or "*", '
            f"not {modules!r}"
        )
    names = []
    try:
        listed = list(modules)
    except TypeError:
        raise TypeError(
            "install(): modules must be modules or their names, "
            f"not {type(modules).__name__}"
        ) from None
    for module in listed:
        name = module.__name__ if isinstance(module, ModuleType) else module
        if not isinstance(name, str):
            raise TypeError(
                "install(): modules must be modules or their names, "
                f"not {type(name).__name__}"
            )
        names.append(name)
    return names


def _refuse_if_late(listed: list[str], copies: dict[str, list[str]]) -> None:
    late = [
        f"{name} has {', '.join(keys)}"
        for name, keys in copies.items()
        if not _covers(listed, name)
    ]
    late += [
        f"{cls} is derived from a standard class"
        for cls in _subclasses(_state.counterparts)
        if not _covers(listed, cls)
    ]
    late += [
        f"{name} has {what} for good"
        for name, what in _others.SEALED.items()
        if name in sys.modules and not _covers(listed, name)
    ]
    late += [
        f"{method} has been replaced by {by}"
        for method, by in _replaced_methods().items()
        if not _covers(listed, method)
    ]
    if late:
        raise RuntimeError(
            "futures_c.install() comes too late: "
            + "; ".join(late)
            + '.  Call it before these are loaded, or list them: modules=[...] or "*"'
            " (a class that exists keeps its base)"
        )


def uninstall() -> None:
    """Undo install(): the names are the standard ones again.

    Executors and futures that exist keep working.  Where nothing is installed
    it does nothing.  Any thread may call it.

    Since 0.1.
    """
    with _lock:
        _undo_all()
        _state.reason = ""


def status() -> Status:
    """Say what of ``concurrent.futures`` is native in this process, and what not.

    Any thread may call it.

    Returns:
        A Status; print it to see all of it.

    Since 0.1.

    """
    with _lock:
        return _status(_copies(_state.counterparts) if _state.installed else {})


def _status(copies: dict[str, list[str]]) -> Status:
    """Return the status; *copies* of standard names are left in these modules."""
    native: list[str] = []
    standard: dict[str, str] = {}
    package = sys.modules.get(STANDARD)
    for name in _NAMES:
        path = f"{STANDARD}.{name}"
        value = vars(package).get(name) if package is not None else None
        module = getattr(value, "__module__", None) or ""
        if value is not None and module.partition(".")[0] == "futures_c":
            native.append(path)
        elif name != "InterpreterPoolExecutor" or _has_interpreters():
            standard[path] = _state.reason
        else:
            standard[path] = "it came with Python 3.14"
    if _state.installed:
        for name, keys in copies.items():
            for key in keys:
                standard[f"{name}.{key}"] = "a copy made before install()"
        for cls in _subclasses(_state.counterparts):
            standard[cls] = "derived from a standard class before install()"
        for name in _state.sealed:
            standard[name] = f"{_others.SEALED[name]} copied before install()"
        for method, by in _state.replaced.items():
            standard[method] = f"replaced by {by} before install()"
    elif _state.reason:
        native += _subclasses(_native_ones())
    return Status(
        _state.installed, _state.reason, native, standard, sorted(_state.modules)
    )


def _has_interpreters() -> bool:
    return sys.version_info >= (3, 14)
