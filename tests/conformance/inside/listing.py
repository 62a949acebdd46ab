"""Print what CPython's test suite holds, as JSON: one object per test.

Run as a script by the plain interpreter, without the swap: the list is that of
the standard module.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import sys
import unittest
from collections.abc import Iterator
from importlib import import_module


def _modules(suite: str) -> Iterator[str]:
    try:
        module = import_module(suite)
    except ModuleNotFoundError as error:
        package = "libpython{}.{}-testsuite".format(*sys.version_info)
        sys.exit(
            f"{sys.executable} comes without CPython's own tests ({error}); on Debian "
            f"and Ubuntu they are in the package {package}"
        )
    if not hasattr(module, "__path__"):
        yield suite
        return
    for entry in pkgutil.iter_modules(module.__path__):
        if entry.name.startswith("test"):
            yield f"{suite}.{entry.name}"


def _tests(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def _describe(module: str, test: unittest.TestCase) -> dict[str, object]:
    method = test._testMethodName
    code = inspect.unwrap(getattr(type(test), method)).__code__
    return {
        "module": module,
        "class": type(test).__qualname__,
        "method": method,
        "file": code.co_filename,
        "line": code.co_firstlineno,
    }


def main(suite: str, *directories: str) -> None:
    """List the tests of *suite*, a module or a package of modules.

    It is looked for in *directories* first.
    """
    sys.path[:0] = directories
    found: list[dict[str, object]] = []
    loader = unittest.TestLoader()
    for name in _modules(suite):
        # A module that cannot run here says so when it is imported.
        try:
            module = import_module(name)
        except unittest.SkipTest as skip:
            found.append({"module": name, "skip": str(skip)})
            continue
        tests = _tests(loader.loadTestsFromModule(module))
        if loader.errors:
            sys.exit("\n".join(map(str, loader.errors)))
        found += [_describe(name, test) for test in tests]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
