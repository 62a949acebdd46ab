"""concurrent.futures with a C core: change one import, keep the code.

    import futures_c as concurrent_futures

Every public name of the running version's ``concurrent.futures`` is here,
together with `BrokenThreadPool`, `BrokenProcessPool` and, from Python 3.12 on,
`InterpreterPoolExecutor` and `BrokenInterpreterPool`.  Exceptions, constants and
`Executor` are the standard objects; `Future` and the executors are subclasses
of the standard ones.  `install`, `uninstall` and `status` put them in the place
of the standard ones.

Everything is loaded when it is first asked for: a worker process, which
imports this package too, needs next to nothing of it.
"""

import sys as _sys

__version__ = "0.1.0"

_BASE = {
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "TimeoutError",
    "as_completed",
    "wait",
}
_LAZY = {
    **dict.fromkeys(_BASE, "_base"),
    "BrokenThreadPool": "thread",
    "ThreadPoolExecutor": "thread",
    "BrokenProcessPool": "process",
    "ProcessPoolExecutor": "process",
    # From 3.12 on.
    "BrokenInterpreterPool": "interpreter",
    "InterpreterPoolExecutor": "interpreter",
}
# What the standard module does not have; not in __all__, which is the same as there.
_OWN = dict.fromkeys(("install", "status", "uninstall"), "_install")
_LAZY |= _OWN
_MODULES = {"_base", "interpreter", "process", "thread"}


def _has_interpreters() -> bool:
    """Whether the running version can have interpreter pools."""
    if _sys.version_info >= (3, 14):
        import concurrent.futures as standard

        return "InterpreterPoolExecutor" in standard.__all__
    try:
        if _sys.version_info >= (3, 13):
            import _interpreters
        else:
            # On 3.12 alone.
            import _xxsubinterpreters  # type: ignore[import-not-found]
    except ImportError:
        return False
    return _sys.version_info >= (3, 12)


def _names() -> tuple[str, ...] | list[str]:
    """What ``__all__`` is: a tuple or a list, as on the running version."""
    import concurrent.futures as standard

    names = [*standard.__all__, "InvalidStateError"]
    names += [name for name in _LAZY if name not in _BASE and name not in _OWN]
    if not _has_interpreters():
        names = [name for name in names if _LAZY.get(name) != "interpreter"]
    return type(standard.__all__)(dict.fromkeys(names))


def __getattr__(name: str) -> object:
    """Load a name, or a module, on first use."""
    value: object
    if name == "__all__":
        value = _names()
    elif name not in _LAZY and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    elif _LAZY.get(name, name) == "interpreter" and not _has_interpreters():
        message = (
            f"module {__name__!r} has no attribute {name!r}: "
            "interpreter pools need Python 3.12 or newer"
        )
        if name in _LAZY and _sys._getframe(1).f_code.co_name == "_handle_fromlist":
            # `from futures_c import ...`, which does not say why an attribute is
            # missing.
            raise ImportError(message, name=__name__)
        raise AttributeError(message)
    else:
        # Not `from futures_c import thread`: that statement asks this function.
        # Not importlib, which may itself have to be loaded: a child forked while
        # another thread does that would wait for ever for its import.
        path = f"{__name__}.{_LAZY.get(name, name)}"
        if f"{__name__}._startup" in _sys.modules and _LAZY.get(name) != "_install":
            _sys.modules[f"{__name__}._startup"].load_standard()
        __import__(path)
        module = _sys.modules[path]
        value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    names = _names()
    modules = _MODULES - {"_base"}
    if "InterpreterPoolExecutor" not in names:
        modules.discard("interpreter")
    return sorted({*names, *_OWN, *modules, "__all__", "__doc__", "__version__"})
