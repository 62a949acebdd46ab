"""The names that a module of ours leaves to its standard counterpart."""

from collections.abc import Callable
from types import ModuleType


def forward(
    namespace: dict[str, object], standard: ModuleType
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a module.

    *namespace* is the module's ``globals()``.  A name that it does not define
    is looked up in *standard* each time, so that it is the standard object of
    the running version, also after someone has replaced it there.
    """

    def __getattr__(name: str) -> object:
        try:
            return getattr(standard, name)
        except AttributeError:
            message = f"module {namespace['__name__']!r} has no attribute {name!r}"
            raise AttributeError(message) from None

    def __dir__() -> list[str]:
        return sorted({*namespace, *dir(standard)})

    return __getattr__, __dir__
