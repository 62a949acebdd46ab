"""Look whether `concurrent.futures` is what the run says it is.

What replaces the names is futures_c itself, as with ``FUTURES_C_INSTALL=1``: a
start-up file of the temporary environment calls the function that the variable
calls.  Here stands what has to be replaced then, whatever install() says of it.

`TARGET` in the module `target`, which is written when the environment is made,
names the module under test; where that is `concurrent.futures` itself, nothing
may be replaced.
"""

from __future__ import annotations

from importlib import import_module

STANDARD = "concurrent.futures"

#: What has to be the module's own, by the name that everybody uses.
NEEDED = (
    "concurrent.futures.Future",
    "concurrent.futures.ProcessPoolExecutor",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.as_completed",
    "concurrent.futures.wait",
    "concurrent.futures._base.Future",
    "concurrent.futures._base.as_completed",
    "concurrent.futures._base.wait",
    "concurrent.futures.process.ProcessPoolExecutor",
    "concurrent.futures.thread.ThreadPoolExecutor",
)


def is_of(target: str, value: object) -> bool:
    """Whether a class or a function was made by *target* or a module below it."""
    module = getattr(value, "__module__", None) or ""
    return f"{module}.".startswith(f"{target}.")


def check(target: str) -> None:
    """Raise where something that *target* has to provide is another's."""
    wrong = []
    for path in NEEDED:
        module, _, name = path.rpartition(".")
        if not is_of(target, getattr(import_module(module), name)):
            wrong.append(path)
    if wrong:
        raise ImportError(f"not provided by {target}: {', '.join(wrong)}")
