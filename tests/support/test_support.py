"""The helpers notice what they are for."""

import concurrent.futures
import gc
import os
import re
import subprocess
import sys
import threading
import time
import weakref

import pytest

from support.forked import ForkedFailure, call_in_child
from support.leftovers import Census, wait_for_none
from support.subproc import run_script
from support.waiting import collected, until


def test_a_script_that_ends_is_reported_in_full():
    outcome = run_script("import sys; print(sys.argv[1]); sys.exit(3)", "word")
    assert (outcome.returncode, outcome.lines) == (3, ["word"])
    assert outcome.check(3) is outcome
    with pytest.raises(AssertionError, match="exit code 3"):
        outcome.check()


def test_a_script_sees_the_module_under_test():
    outcome = run_script("print(futures.__name__)", futures=concurrent.futures)
    assert outcome.check().lines == ["concurrent.futures"]


def test_a_script_that_hangs_shows_every_thread():
    outcome = run_script(
        """
        import threading, time
        def the_other_thread():
            time.sleep(60)
        threading.Thread(target=the_other_thread).start()
        time.sleep(60)
        """,
        cap=1,
    )
    assert outcome.timed_out
    assert "the_other_thread" in outcome.stderr
    with pytest.raises(AssertionError, match="hung"):
        outcome.check()


def test_children_of_a_script_that_hangs_are_ended():
    outcome = run_script(
        """
        import os, time
        pid = os.fork()
        if pid:
            print(pid, flush=True)
        time.sleep(60)
        """,
        cap=1,
    )
    child = int(outcome.lines[0])
    until(lambda: not os.path.exists(f"/proc/{child}") or is_zombie(child))


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_warnings_are_errors_in_scripts():
    outcome = run_script("import warnings; warnings.warn('x')")
    assert outcome.returncode == 1 and "UserWarning" in outcome.stderr


def test_a_call_in_a_child():
    call_in_child(lambda: None, 20)
    with pytest.raises(ForkedFailure, match="ValueError: text"):
        call_in_child(raise_value_error, 20)
    with pytest.raises(ForkedFailure, match="hangs"):
        call_in_child(lambda: time.sleep(60), 0.2)
    with pytest.raises(ForkedFailure, match="process ended"):
        call_in_child(lambda: os._exit(5), 20)


def raise_value_error():
    raise ValueError("text")


def test_leftovers_are_found():
    before = Census.take()
    assert wait_for_none(before) == []
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, args=(30,), name="left")
    thread.start()
    readable, writable = os.pipe()
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=readable)
    left = "\n".join(wait_for_none(before, 0.05))
    assert "thread 'left' (daemon=False)" in left
    assert f"child process {child.pid}" in left
    assert f"file descriptor {readable} -> pipe:" in left
    assert f"file descriptor {writable} -> pipe:" in left
    gate.set()
    thread.join()
    os.close(readable)
    os.close(writable)
    child.wait()
    assert wait_for_none(before) == []


def test_waiting_for_the_collector():
    class Thing:
        pass

    thing = Thing()
    thing.itself = thing
    reference = weakref.ref(thing)
    del thing
    collected(reference)
    kept = Thing()
    with pytest.raises(AssertionError, match="never true"):
        until(lambda: gc.collect() is None or kept is None, 0.02)


#: One test of each kind of failure that the fixtures of tests/conftest.py see.
FAILING = """
import os, threading, time
import pytest

def test_leaves_a_thread():
    threading.Thread(target=time.sleep, args=(15,), name="left").start()

@pytest.mark.cap(0.2)
def test_hangs():
    time.sleep(30)

@pytest.mark.fault("gh-0")
def test_fault(futures):
    assert futures.__name__ == "other"

@pytest.mark.fault("gh-1", cap=0.2)
def test_fault_that_hangs(futures):
    time.sleep(30)

def test_good(futures):
    assert futures.__name__ == "concurrent.futures"
"""


def test_the_fixtures_fail_what_they_should(tmp_path):
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {here!r})\n"
        f"exec(compile(open({here + '/conftest.py'!r}).read(),"
        f" {here + '/conftest.py'!r}, 'exec'))\n"
    )
    (tmp_path / "test_failing.py").write_text(FAILING)
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "--only=standard", "--rootdir", str(tmp_path), "-rA", str(tmp_path),
    ]  # fmt: skip
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    said = re.sub(r"\S+(?=test_failing.py::)", "", done.stdout)
    assert done.returncode == 1, said
    assert time.monotonic() - start < 40
    assert "left behind: thread 'left'" in said
    assert "FAILED test_failing.py::test_hangs" in said
    assert "hung: no end within 0.2 s" in said
    assert "XFAIL test_failing.py::test_fault[standard] - gh-0" in said
    assert "XFAIL test_failing.py::test_fault_that_hangs[standard] - gh-1" in said
    assert "PASSED test_failing.py::test_good[standard]" in said
