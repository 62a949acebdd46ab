"""Tries operations, each with one failure after the other, each in a forked child.

    LD_PRELOAD=failing.so python driver.py '{"group": "threads", ...}'

writes one line of JSON for each operation: how many calls could fail, which were
made to fail, how often that was met, how it ended, and what was wrong.  A child
that crashes or hangs is one line of what was wrong, with its tracebacks.
"""

from __future__ import annotations

import collections
import dataclasses
import faulthandler
import gc
import json
import logging
import os
import random
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import operations
import planted  # noqa: F401 - it enters its own
import pools  # noqa: F401 - likewise
import scenes
import shim
import workers  # noqa: F401 - likewise
from support.leftovers import Census, wait_for_none

import futures_c

#: More futures than the extension keeps for being used again.
KEPT = 3000


@dataclasses.dataclass
class Settings:
    """What is asked for, as it comes in the argument."""

    group: str
    kind: str = "allocation"
    who: str = "everybody"
    scope: str = "ours"
    #: All from the n-th on: never, always, or as chance has it.
    all: bool | None = None
    #: So many of each operation's failures, chosen at random; None: each.
    limit: int | None = None
    seed: int = 0
    only: list[str] | None = None
    #: These n alone, for looking closer.
    numbers: list[int] | None = None
    #: Seconds that one trial may take before it counts as hung.
    cap: float = 40.0


# --- in the child -------------------------------------------------------------


def attempt(run: Any) -> None:
    """Do the armed part.  Short: see known.py for why."""
    shim.arm()
    try:
        next(run, None)
    finally:
        shim.disarm()


def attempt_there(run: Any) -> None:
    """The same where a task arms its worker."""
    try:
        next(run, None)
    finally:
        shim.disarm()


def judge(operation: operations.Operation, plan: shim.Plan) -> dict[str, Any]:
    """Try it; return how it went."""
    stray: list[BaseException] = []
    sys.unraisablehook = lambda args: stray.append(args.exc_value)
    threading.excepthook = lambda args: stray.append(args.exc_value)
    before = Census.take()
    raises = (MemoryError, *operation.raises)
    gc.collect()
    gc.disable()
    scene: Any = operation.scene()
    scene.plan = plan
    scene.met = None
    run = operation.run(scene)
    there = next(run, None) is operations.HERE
    # Nothing is left to be used again.
    kept = [futures_c.Future() for _ in range(KEPT)]
    shim.prepare(plan)
    try:
        (attempt_there if there else attempt)(run)
    except BaseException as error:
        scene.error = error
    kept.clear()
    seen, failed = scene.met or shim.met()
    outcome = type(scene.error).__name__
    if scene.error is not None and not isinstance(scene.error, raises):
        raise scene.error
    if scene.error is None:
        # What holds where nothing was raised.
        next(run, None)
    run.close()
    del run
    scene.release()
    scene.settle((*raises, *scene.broken))
    outcome += f", {scene.usable()}"
    scene.close()
    scene.__dict__.clear()
    gc.enable()
    left = wait_for_none(before, scenes.CAP / 2)
    scenes.demand(not left, f"left behind: {left}")
    for error in stray:
        if not isinstance(error, raises):
            raise error
    return {"seen": seen, "failed": failed, "outcome": outcome}


def be_child(report: int, log: Any, *args: Any) -> None:
    """Judge, report and end."""
    os.setpgid(0, 0)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)
    code = 1
    try:
        verdict = judge(*args)
        code = 0
    except BaseException as error:
        shim.disarm()
        text = "".join(traceback.format_exception(error, limit=-8))
        verdict = {"bad": text}
    os.write(report, (json.dumps(verdict) + "\n").encode())
    os._exit(code)


# --- in the parent ------------------------------------------------------------


def read_line(fd: int, cap: float) -> bytes:
    """Return what was written, up to a line's end, or as much as came in time."""
    text = b""
    end = time.monotonic() + cap
    while not text.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        some = os.read(fd, 65536)
        if not some:
            break
        text += some
    return text


def try_once(
    operation: operations.Operation, plan: shim.Plan, cap: float
) -> dict[str, Any]:
    """Try it in a child; return its verdict."""
    print(f"{operation.name}: {plan}", file=sys.stderr, flush=True)
    read, write = os.pipe()
    with tempfile.TemporaryFile("w+") as log:
        pid = os.fork()
        if pid == 0:
            os.close(read)
            be_child(write, log, operation, plan)
        os.close(write)
        text = read_line(read, cap)
        os.close(read)
        if not text.endswith(b"\n"):
            # It hangs, or has crashed: then there is nobody.
            os.kill(pid, signal.SIGABRT)
            time.sleep(0.5)
        try:
            os.killpg(pid, signal.SIGKILL if not text.endswith(b"\n") else 0)
        except ProcessLookupError:
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        log.seek(0)
        said = log.read()[-6000:]
    if text.endswith(b"\n"):
        verdict: dict[str, Any] = json.loads(text)
        if "bad" in verdict:
            verdict["bad"] += said
        return verdict
    how = "hung" if status == -signal.SIGABRT else f"crashed ({status})"
    return {"bad": f"{how}\n{said}"}


def numbers_to_try(settings: Settings, count: int, rng: random.Random) -> list[int]:
    """Which calls are to fail, of *count* that were made where none did."""
    if settings.numbers is not None:
        return settings.numbers
    if settings.limit is None or count <= settings.limit:
        return list(range(count))
    return sorted(rng.sample(range(count), settings.limit))


def try_all(operation: operations.Operation, settings: Settings) -> dict[str, Any]:
    """Try one operation with one failure after the other."""
    rng = random.Random(f"{settings.seed} {operation.name} {settings.kind}")
    plan = shim.Plan(settings.kind, who=settings.who, scope=settings.scope)
    if settings.group in ("worker", "there"):
        plan = dataclasses.replace(plan, who="me")
    first = try_once(operation, plan, settings.cap)
    result: dict[str, Any] = {"operation": operation.name, "bad": [], "met": 0}
    if "bad" in first:
        result["bad"].append(["nothing fails", first["bad"]])
        return result
    result["seen"] = first["seen"]
    outcomes: collections.Counter[str] = collections.Counter()
    tried = 0
    for n in numbers_to_try(settings, first["seen"], rng):
        errors = shim.KINDS[settings.kind]
        ways = (False, True) if settings.all is None else (settings.all,)
        if settings.limit is not None:
            errors, ways = (rng.choice(errors),), (rng.choice(ways),)
        for error in errors:
            for more in ways:
                one = dataclasses.replace(plan, n=n, all=more, error=error)
                verdict = try_once(operation, one, settings.cap)
                tried += 1
                if "bad" in verdict:
                    result["bad"].append([str(one), verdict["bad"]])
                    continue
                result["met"] += verdict["failed"] > 0
                outcomes[verdict["outcome"]] += 1
    result["tried"] = tried
    result["outcomes"] = outcomes
    return result


def rehearse(operation: operations.Operation) -> None:
    """Do it once, unarmed, so that what is made once has been made."""
    scene: Any = operation.scene()
    scene.plan = shim.Plan()
    for _ in range(3):
        run = operation.run(scene)
        try:
            for _ in run:
                pass
        except (*operation.raises, AssertionError):
            pass
        run.close()
        break
    scene.close()
    gc.collect()


def main() -> None:
    """Do what the argument says."""
    settings = Settings(**json.loads(sys.argv[1]))
    scenes.CAP = settings.cap / 2
    warnings.simplefilter("ignore")  # Forking, beside threads or not.
    logging.disable()
    if not shim.tells_apart():
        print(json.dumps({"skip": "what evaluates Python code is not known here"}))
        return
    MemoryError()
    for operation in operations.OPERATIONS[settings.group].values():
        if settings.only and operation.name not in settings.only:
            continue
        if operation.rehearsed:
            rehearse(operation)
        print(json.dumps(try_all(operation, settings)), flush=True)


if __name__ == "__main__":
    main()
