"""docs/api describes every public name, and what it says of each is so."""

from __future__ import annotations

import ast
import inspect

import pages
import pytest

import futures_c
from futures_c._install import Status

SECTIONS = {
    section.name: section
    for page in sorted(pages.API.glob("*.md"))
    for section in pages.sections(page)
    if section.name is not None
}

#: Described everywhere, but not on every version there.
NOT_EVERYWHERE = {"InterpreterPoolExecutor", "BrokenInterpreterPool", "interpreter"}

NAMES = [
    name for name in dir(futures_c) if not name.startswith("_") or name == "__version__"
]

POOLS = ("ThreadPoolExecutor", "ProcessPoolExecutor")


def there(name):
    """Whether the running version has the name that *name* belongs to."""
    first = name.partition(".")[0]
    return first not in NOT_EVERYWHERE or first in NAMES


def value_of(name):
    """What a heading names."""
    value = {"Status": Status}.get(name.partition(".")[0], futures_c)
    parts = name.split(".")
    for part in parts[1:] if value is Status else parts:
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_section(name):
    assert name in SECTIONS


def test_what_is_no_name_has_a_section():
    page = pages.API / "command-line.md"
    titles = [section.title for section in pages.sections(page)]
    assert "`python -m futures_c`" in titles
    assert "The variable `FUTURES_C_INSTALL`" in titles


@pytest.mark.parametrize("cls", ["Future", "Executor", *POOLS])
def test_every_method_has_a_section(cls):
    for method in dir(getattr(futures_c, cls)):
        if method.startswith("_") or method in ("BROKEN", "prepare_context"):
            continue
        # A pool inherits what is described with Executor.
        assert f"{cls}.{method}" in SECTIONS or (
            cls in POOLS and f"Executor.{method}" in SECTIONS
        ), method


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_what_a_section_names(name):
    if not there(name):
        pytest.skip(f"this version has no {name}")
    value = value_of(name)
    text = SECTIONS[name].text
    assert "Since" in text and "futures_c 0.1" in text
    if callable(value) and not is_exception(value) and name != "Status":
        assert_signature(name, value)


def is_exception(value):
    return isinstance(value, type) and issubclass(value, BaseException)


def assert_signature(name, value):
    """Compare the signature that the section gives with the real one."""
    text = SECTIONS[name].signature
    assert text is not None, "no signature"
    function = ast.parse(f"def {text}: pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert function.name == name.rpartition(".")[2]
    space = {"ALL_COMPLETED": futures_c.ALL_COMPLETED}
    described_function = eval(f"lambda {ast.unparse(function.args)}: 0", space)
    described = list(inspect.signature(described_function).parameters.values())
    actual = list(inspect.signature(value).parameters.values())
    if "." in name:
        assert actual.pop(0).name == "self"
    for parameter in described:
        assert f"`{parameter.name}`" in SECTIONS[name].text, parameter.name
    # The first is for subclasses, from 3.14 on; and the abstract class, which is
    # the standard one, has no buffersize before.
    left_out = {"ctxkwargs", "buffersize"} if name == "Executor.map" else {"ctxkwargs"}
    assert [
        (one.name, one.default) for one in described if one.name not in left_out
    ] == [(one.name, one.default) for one in actual if one.name not in left_out]


@pytest.mark.parametrize(
    "page", sorted(pages.API.glob("*.md")), ids=lambda page: page.stem
)
def test_each_page_says_where_behaviour_comes_from(page):
    links = pages.links(page)
    if page.stem not in ("install", "uninstall", "status", "command-line"):
        assert any(
            link.startswith("https://docs.python.org/3/library/") for link in links
        )
    assert any(link.startswith("../differences.md") for link in links)


# --- what help() says -----------------------------------------------------------


def documented():
    """Our public functions, and the classes with their public methods."""
    for name in ("wait", "as_completed", "install", "uninstall", "status"):
        yield name, getattr(futures_c, name)
    yield "Status", Status
    for name in ("Future", *POOLS, "InterpreterPoolExecutor"):
        if not there(name):
            continue
        cls = getattr(futures_c, name)
        yield name, cls
        for base in cls.__mro__:
            if base.__module__.partition(".")[0] == "futures_c":
                for method, value in vars(base).items():
                    if not method.startswith("_") and inspect.isroutine(value):
                        yield f"{name}.{method}", getattr(value, "__func__", value)


DOCUMENTED = dict(documented())


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_docstrings_are_complete(name):
    value = DOCUMENTED[name]
    text = inspect.getdoc(value)
    assert text and "Since 0.1" in text
    for parameter in inspect.signature(value).parameters:
        if parameter not in ("self", "cls", "ctxkwargs"):
            assert parameter in text, parameter
