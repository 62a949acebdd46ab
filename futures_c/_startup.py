"""install() at the start of an interpreter, when it is asked for from outside.

It loads nothing: the names are replaced when somebody imports
``concurrent.futures``, before he sees it (or, where another thread is importing one
of our submodules at that moment, when that is done).  ``futures_c.pth`` imports this
module where the environment variable ``FUTURES_C_INSTALL`` says so (from Python 3.18
on ``futures_c.start``, always):

- ``1``: in every interpreter that gets the variable, so that whole test suites,
  with all the processes they start, run on the native module;
- ``once``: in this interpreter and the processes that multiprocessing starts
  from it; the variable is removed.  That is what ``python -m futures_c`` sets.

Anything else is as if the variable were not there.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock, get_ident
from functools import partial
from importlib import _bootstrap
from importlib.machinery import ModuleSpec, PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import Any

VARIABLE = "FUTURES_C_INSTALL"
STANDARD = "concurrent.futures"


class _AnyLoader:
    """Loads a module by the loader that it has, whether from source or not.

    A standard library may be stored as bytecode, or in an archive.
    """

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._real.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It is ours for the import alone.
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            module.__loader__ = spec.loader = self._real
        self._real.exec_module(module)


class _Loader(_AnyLoader):
    """Loads ``concurrent.futures``, and replaces its names.

    Its executors' modules, too: who is at the import of one waits for the package,
    and whoever loads the package cannot wait for him.  He does it then.
    """

    def exec_module(self, module: ModuleType) -> None:
        _executed.discard(module.__name__)
        super().exec_module(module)
        _executed.add(module.__name__)
        if not _OurLoader.does_it_then():
            _install()


class _OurLoader(_AnyLoader):
    """Loads our modules where they come first, as in a worker.

    What they import from the standard package has to be the standard one.
    """

    # Any threads' loads that are under way, and whether the last is to install.
    lock = RLock()
    loading = 0
    deferred = False

    def exec_module(self, module: ModuleType) -> None:
        _executed.discard(module.__name__)
        with self.lock:
            _OurLoader.loading += 1
        try:
            super().exec_module(module)
            _executed.add(module.__name__)
        finally:
            with self.lock:
                _OurLoader.loading -= 1
                due = self.deferred and not self.loading
                if due:
                    _OurLoader.deferred = False
        if due:
            _install()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )

    @classmethod
    def does_it_then(cls) -> bool:
        """Leave the installing to the loads that are under way, if there are any."""
        with cls.lock:
            cls.deferred = cls.deferred or cls.loading > 0
            return cls.loading > 0


class _WatchingLoader(_AnyLoader):
    """Loads a module that install() has to do something about."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        from futures_c import _install

        _install.see_to(module)


class _Finder:
    """Finds modules where they are, to be loaded by loaders from above."""

    def __init__(self, loader: type[_AnyLoader], *names: str) -> None:
        self._loaders: dict[str, Any] = dict.fromkeys(names, loader)

    def also(self, loader: type[_AnyLoader], *names: str) -> None:
        self._loaders.update(dict.fromkeys(names, loader))

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return where the module is; None where it is none of these."""
        loader = self._loaders.get(name)
        if loader is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = loader(spec.loader)
        return spec


_later = _Finder(
    _Loader,
    STANDARD,
    *(f"{STANDARD}.{name}" for name in ("interpreter", "process", "thread")),
)
_later.also(
    _OurLoader,
    *(
        f"futures_c.{name}"
        for name in ("_base", "_load", "_manager", "interpreter", "process", "thread")
    ),
)
# It imports the standard package, and so install() comes while it is being loaded.
_later.also(_WatchingLoader, "eventlet.patcher")


# The threads that are at it: they load modules with loaders from above.
_installing: set[int] = set()
# The modules that these two have executed.  The import system calls them
# initializing until the loader has returned, which may install first.
_executed: set[str] = set()
# What the import system raises in one of two threads that wait for each other.
_Deadlock: type[Exception] = vars(_bootstrap)["_DeadlockError"]


def _install() -> None:
    me = get_ident()
    if me in _installing:
        return
    _installing.add(me)
    try:
        from futures_c import _install

        _install.install_unasked()
    except _Deadlock:
        # The other one comes to it, by one of the loaders.
        _OurLoader.does_it_then()
        return
    finally:
        _installing.discard(me)
    _forget(_later)


def load_standard() -> None:
    """Import the standard package, which installs, before ours where it waits for it.

    Who is at the import of one of ours first keeps the others from installing.
    """
    if _later in sys.meta_path:
        __import__(STANDARD)


def _forget(finder: _Finder) -> None:
    # A list of its own: another thread may be going through this one, and would pass
    # over the finder that comes after the removed one.
    sys.meta_path = [other for other in sys.meta_path if other is not finder]


# --- called from elsewhere --------------------------------------------------------


def begin() -> None:
    """Do what the environment variable says: called by the start-up file."""
    value = os.environ.get(VARIABLE)
    if value == "once":
        del os.environ[VARIABLE]
    if value in ("1", "once"):
        install_later()


def install_later() -> None:
    """Call install() when ``concurrent.futures`` is imported, or now if it was."""
    if STANDARD in sys.modules:
        _install()
    elif _later not in sys.meta_path:
        sys.meta_path.insert(0, _later)


class Watch:
    """Sees to modules when they are imported, between begin() and end()."""

    def __init__(self, *names: str) -> None:
        self._finder = _Finder(_WatchingLoader, *names)

    def begin(self) -> None:
        sys.meta_path.insert(0, self._finder)

    def end(self) -> None:
        _forget(self._finder)


def is_loading(module: ModuleType) -> bool:
    """Whether a module may still lack names: a thread is executing it."""
    spec = getattr(module, "__spec__", None)
    return getattr(spec, "_initializing", False) and module.__name__ not in _executed


def demand_loaded(module: ModuleType) -> None:
    """Raise an exception where this thread cannot wait for a module.

    The import system hands it out half executed where the thread that loads it
    waits for what this one is loading.
    """
    if is_loading(module):
        raise _Deadlock(f"{module.__name__} is being loaded by another thread")


def wait_until_loaded(names: Iterable[str]) -> None:
    """Wait for modules that other threads are loading.

    Not for those that this thread is loading itself, or that wait for what it is
    loading.  As the import system does; import_module() would load it again where
    that has failed.
    """
    wait: Callable[[str], None] = vars(_bootstrap)["_lock_unlock_module"]
    for name in names:
        wait(name)


class _Request:
    """Has an interpreter that unpickles it call install_later().

    Before anything else that multiprocessing does there, and so also before the
    path is set that we may be found on.
    """

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        code = (
            f"import sys; sys.path[:] = {self._path!r}\n"
            "from futures_c import _startup; _startup.install_later()"
        )
        return exec, (code, {})


def passing_on(spawn: Any) -> Callable[[str], dict[str, Any]]:
    """Return what lets processes that are not forked do as this one.

    In the place of ``get_preparation_data`` of *spawn*, the module
    ``multiprocessing.spawn``.
    """
    original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        data["futures_c"] = _Request(data.get("sys_path", sys.path))
        return data

    return get_preparation_data
