"""The end of a program whose pools work, forks beside them, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from . import kit

#: Python warns of every fork in a process with threads.
QUIET = ("-W", "ignore::DeprecationWarning")


@pytest.fixture
def run(futures, script):
    """Run a script that has a function make(), as the fixture."""

    def run(source, **options):
        return script(kit.PROLOGUE + textwrap.dedent(source), flags=QUIET, **options)

    return run


def test_a_pool_that_was_not_shut_down(run):
    ran = run(
        """
        pool = make(2)
        print(pool.submit(abs, -1).result())
        """
    )
    assert ran.check().lines == ["1"]
    assert ran.stderr == ""


def test_queued_and_running_calls_are_done_first(run, tmp_path):
    ran = run(
        f"""
        pool = make(1)
        first = pool.submit(jobs.wait_for_file, {str(tmp_path / "go")!r})
        rest = [pool.submit(print, n, flush=True) for n in range(3)]
        first.add_done_callback(lambda f: print("first", flush=True))
        threading.Timer(0.05, os.mkdir, [{str(tmp_path / "go")!r}]).start()
        """
    )
    assert ran.check().lines == ["first", "0", "1", "2"]
    assert ran.stderr == ""


def test_pools_in_the_names_of_the_main_module_and_in_cycles(run):
    ran = run(
        """
        class Node: pass
        for n in range(2):
            node = Node()
            node.itself, node.pool = node, make(1)
            node.future = node.pool.submit(abs, -1)
            node.future.result()
        kept = make(1)
        kept.submit(abs, -1).result()
        """
    )
    ran.check()
    assert ran.stderr == ""


def test_exit_while_pools_are_submitted_to_by_daemon_threads(run):
    ran = run(
        """
        pool = make(2)
        def submit():
            while True:
                try:
                    pool.submit(abs, -1)
                except RuntimeError:
                    return
        for _ in range(2):
            threading.Thread(target=submit, daemon=True).start()
        pool.submit(abs, -1).result()
        print("end")
        """
    )
    assert ran.check().lines == ["end"]


def test_exit_while_daemon_threads_wait_for_results(run):
    ran = run(
        """
        pool = make(2)
        def wait():
            while True:
                try:
                    pool.submit(abs, -1).result()
                except RuntimeError:
                    return
        for _ in range(3):
            threading.Thread(target=wait, daemon=True).start()
        pool.submit(abs, -1).result()
        print("end")
        """
    )
    assert ran.check().lines == ["end"]


def test_the_status_of_sys_exit(run):
    run("make().submit(abs, 1); sys.exit(5)").check(5)


def test_os_exit_while_a_call_runs(run):
    ran = run(
        """
        pool = make(1)
        future = pool.submit(time.sleep, 60)
        while not future.running():
            pass
        os._exit(4)
        """
    )
    ran.check(4)


def test_an_exception_that_ends_the_program(run):
    ran = run("make().submit(abs, 1).result(); raise ValueError('mine')")
    assert "ValueError: mine" in ran.check(1).stderr


def test_ctrl_c_while_a_result_is_waited_for(futures, tmp_path):
    """The main thread is interrupted; the call is not, and is waited for."""
    go, ready = tmp_path / "go", tmp_path / "ready"
    source = f"import {futures.__name__} as futures\n" + kit.PROLOGUE
    source += textwrap.dedent(
        f"""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pool = make(1)
        future = pool.submit(
            jobs.announce_and_wait, {str(ready)!r}, {str(go)!r}
        )
        try:
            future.result()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        open({str(go)!r}, "w").close()
        pool.shutdown()
        print(future.result() == {str(go)!r})
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not ready.exists() and process.poll() is None:
            pass
        # The main thread may still be on its way to result().
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    finally:
        process.kill()
        process.wait()
    assert out.split() == ["interrupted", "True"], err


# --- fork ----------------------------------------------------------------------
#
# A child that is forked while there are interpreters crashes at once: CPython's own
# (_PyInterpreterState_DeleteExceptMain), with any interpreter of anybody.


CHILD = """
def in_child(call):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            call()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def child():
    assert pool.submit(abs, -2).result() == 2
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    pool.shutdown()
"""


@pytest.fixture
def forking(futures, run):
    """Run a script that has a function in_child()."""
    return lambda source: run(CHILD + textwrap.dedent(source))


def test_a_child_uses_an_inherited_pool_that_has_not_begun(forking):
    ran = forking(
        """
        pool = make(2)
        print(in_child(child))
        print(pool.submit(abs, -3).result())
        """
    )
    assert ran.check().lines == ["0", "3"], ran.stderr


def test_a_child_after_a_pool_has_ended(forking):
    ran = forking(
        """
        with make(2) as pool:
            list(pool.map(abs, range(9)))
        pool = make(1)
        print(in_child(child))
        """
    )
    assert ran.check().lines == ["0"], ran.stderr


def test_the_parent_goes_on_whatever_becomes_of_the_child(forking):
    ran = forking(
        """
        import faulthandler, resource
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pool = make(2)
        assert pool.submit(jobs.mark, 1).result() == 1
        in_child(lambda: None)
        print(list(pool.map(abs, range(-3, 0))))
        """
    )
    assert ran.check().lines == ["[3, 2, 1]"], ran.stderr


def test_processes_that_are_not_forked(forking):
    ran = forking(
        """
        import subprocess
        pool = make(1)
        pool.submit(abs, -1).result()
        print(subprocess.run([sys.executable, "-c", "print(5)"],
                             capture_output=True, check=True).stdout.decode().strip())
        """
    )
    assert ran.check().lines == ["5"], ran.stderr
