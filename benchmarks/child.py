"""The measured process: one scenario, one rival, one line of JSON.

`runner` starts it.  It is handed a request on its command line and answers on
the last line of its standard output; nothing else of the benchmarks runs here.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
from typing import Any

from .families import FAMILIES
from .machine import describe_python
from .meter import Meter, Skip
from .scenarios import SCENARIOS


def describe() -> dict[str, Any]:
    """Return the interpreter's description and what of futures_c imports here."""
    answer: dict[str, Any] = {"python": describe_python()}
    try:
        module = importlib.import_module("futures_c")
        # The names are lazy: only asking for the class loads the extension.
        _ = module.ThreadPoolExecutor
    except (ImportError, AttributeError) as error:
        answer["futures_c"] = None
        answer["futures_c_error"] = f"{type(error).__name__}: {error}"
    else:
        if "futures_c._native" not in sys.modules:
            raise RuntimeError("futures_c imports without its extension")
        answer["futures_c"] = str(getattr(module, "__version__", "unknown"))
    return answer


def measure(scenario_name: str, rival_name: str, quick: bool) -> dict[str, Any]:
    """Measure one scenario with one rival."""
    scenario = SCENARIOS[scenario_name]
    meter = Meter(quick=quick)
    faulthandler.dump_traceback_later(scenario.timeout, exit=True)
    try:
        rival = FAMILIES[scenario.family].rivals[rival_name]
        value, values = scenario.measure(rival(), meter)
    except Skip as reason:
        return {"skipped": str(reason)}
    finally:
        faulthandler.cancel_dump_traceback_later()
    answer: dict[str, Any] = {"value": value, "values": values}
    if meter.extra:
        answer["extra"] = meter.extra
    gil = getattr(sys, "_is_gil_enabled", None)
    if gil is not None:
        answer["gil"] = gil()
    return answer


def main() -> None:
    """Answer the request in ``sys.argv[1]``."""
    request = json.loads(sys.argv[1])
    answer = measure(**request) if request else describe()
    print(json.dumps(answer), flush=True)
