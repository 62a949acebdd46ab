from collections.abc import Callable
from types import ModuleType

def forward(
    namespace: dict[str, object], standard: ModuleType
) -> tuple[Callable[[str], object], Callable[[], list[str]]]: ...
