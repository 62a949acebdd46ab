"""Put another module's names in place of those of `concurrent.futures`.

`install` runs at the start of every interpreter of the temporary environment
(its site-packages name it in a start-up file), sub-interpreters and spawned
workers included, and loads nothing.  When somebody imports
`concurrent.futures`, the standard package is loaded as usual and `replace` runs
before the importer sees it:

1. all submodules of the standard package are loaded,
2. the module under test and its submodules of the same names are loaded, so
   that whatever they take from the standard ones, they take it now,
3. only then the names are replaced.

In another order a class of ours could end up as its own base, or a function as
the fallback of itself.

`TARGET` in the module `target`, which is written when the environment is made,
names the module under test.  Where that is `concurrent.futures` itself, each
name is replaced by what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

from futures_c_conformance.target import TARGET

STANDARD = "concurrent.futures"
PARTS = ("_base", "thread", "process", "interpreter")

#: Replaced classes and functions of the standard package, by qualified name.
replaced: dict[str, object] = {}

#: What the swap has to replace, unless it is the identity.
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


class _Loader(SourceFileLoader):
    """Load the standard package and replace its names."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if _TargetLoader.loading:
            _TargetLoader.deferred = True
        else:
            replace(module, TARGET)


class _TargetLoader(SourceFileLoader):
    """Load the module under test, and its submodules, where they come first.

    A worker unpickles a function of ours before anything else.  What we import
    from the standard package then is still the standard one; the names are
    replaced when we are loaded.
    """

    loading = 0
    deferred = False

    def exec_module(self, module: ModuleType) -> None:
        _TargetLoader.loading += 1
        try:
            super().exec_module(module)
        finally:
            _TargetLoader.loading -= 1
        if _TargetLoader.deferred and not _TargetLoader.loading:
            _TargetLoader.deferred = False
            replace(sys.modules[STANDARD], TARGET)


class _Finder:
    """Find both packages where they are, to be loaded by the loaders above."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        loader: type[SourceFileLoader]
        if name == STANDARD:
            loader = _Loader
        elif name.partition(".")[0] == TARGET:
            loader = _TargetLoader
        else:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            assert spec.origin is not None
            spec.loader = loader(name, spec.origin)
        return spec


def install() -> None:
    """Let the swap happen when `concurrent.futures` is first imported."""
    if STANDARD in sys.modules:
        raise RuntimeError(f"{STANDARD} was imported before the swap was installed")
    sys.meta_path.insert(0, _Finder())


def _load(package: str, part: str) -> ModuleType | None:
    """Import a submodule; those of interpreter pools are not everywhere."""
    try:
        return import_module(f"{package}.{part}")
    except ImportError:
        if part != "interpreter":
            raise
        return None


def _replace_name(module: ModuleType, name: str, value: object) -> None:
    old = getattr(module, name)
    if value is not old:
        replaced[f"{module.__name__}.{name}"] = old
    # Also where both are one object: the identity takes the same steps.
    setattr(module, name, value)


def replace(standard: ModuleType, target: str) -> None:
    """Replace the names of *standard*, the package, by those of *target*."""
    ours = import_module(target)
    pairs = []
    standard_parts = {part: _load(STANDARD, part) for part in PARTS}
    for part, module in standard_parts.items():
        if module is not None:
            pairs.append((module, import_module(f"{target}.{part}")))
    values = {name: getattr(ours, name) for name in standard.__all__}

    for name, value in values.items():
        _replace_name(standard, name, value)
    for module, counterpart in pairs:
        for name, value in list(vars(counterpart).items()):
            if name.startswith("_") or not callable(value):
                continue
            if name in vars(module):
                _replace_name(module, name, value)

    check(target)


def check(target: str) -> None:
    """Raise where something that the swap has to replace is still there."""
    missing = [] if target == STANDARD else sorted(set(NEEDED) - set(replaced))
    if missing:
        raise ImportError(f"not replaced by {target}: {', '.join(missing)}")
