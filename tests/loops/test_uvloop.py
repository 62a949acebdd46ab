"""uvloop and install(): it copies names for good when it is imported."""

import pytest

pytest.importorskip("uvloop")

PROGRAM = """
import asyncio, threading
import uvloop
import futures_c

async def main():
    kind = type(await asyncio.to_thread(threading.current_thread))
    print(kind.__module__, futures_c.status().standard.get("uvloop.loop"))

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize(
    "lines",
    [
        ["import futures_c; futures_c.install()"],
        ["from futures_c import _startup; _startup.install_later()"],
        ["from futures_c import _startup; _startup.install_later()", "import asyncio"],
    ],
    ids=["install", "from outside", "from outside, asyncio first"],
)
def test_the_default_executor_is_native(script, lines):
    assert script("\n".join([*lines, PROGRAM])).check().lines == [
        "futures_c.thread None"
    ]


def test_uvloop_that_is_loaded_is_too_late(script):
    """Nobody can take its copies away: it says so, or the status does."""
    ran = script(f"""
import uvloop, futures_c
try:
    futures_c.install()
except RuntimeError as error:
    print("uvloop.loop has ThreadPoolExecutor and wrap_future for good" in str(error))
futures_c.install("*")
{PROGRAM}
""").check()
    assert ran.lines == [
        "True",
        "threading ThreadPoolExecutor and wrap_future copied before install()",
    ]
