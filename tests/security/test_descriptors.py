"""Who has a pool's memory and its other descriptors: its workers, nobody else."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import stat
import subprocess
import sys
from multiprocessing import forkserver, resource_tracker

import pytest
from support.forked import call_in_child
from support.sanitizers import FORK
from support.waiting import until

import futures_c

from . import jobs

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks into /proc"
)

METHODS = ["fork", "spawn", "forkserver"]

#: What the pool itself opens; multiprocessing's pipes are its own.
OURS = ("/memfd:futures_c", "anon_inode:[eventfd]", "anon_inode:[pidfd]")

F_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
F_SEAL_SEAL, F_SEAL_SHRINK = 1, 2


@pytest.fixture(params=METHODS)
def context(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def pool(context):
    with futures_c.ProcessPoolExecutor(1, context) as pool:
        yield pool


def ours(descriptors):
    return [one for one in descriptors if one.target.startswith(OURS)]


def test_all_that_a_pool_opens_is_closed_on_exec(context):
    before = set(jobs.descriptors())
    with futures_c.ProcessPoolExecutor(1, context) as pool:
        assert pool.submit(abs, -1).result(30) == 1
        opened = set(jobs.descriptors()) - before
        assert len(list(filter(jobs.is_segment, opened))) == 1
        # multiprocessing's own ones as well.
        assert not [one for one in opened if one.survives_exec]
        there = pool.submit(jobs.descriptors).result(30)
        assert ours(there)
        assert not [one for one in ours(there) if one.survives_exec]


def test_the_memory_is_private_and_has_no_name(pool):
    assert pool.submit(abs, -1).result(30) == 1
    status = os.fstat(pool._hub.fd)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()
    assert status.st_nlink == 0
    seals = fcntl.fcntl(pool._hub.fd, F_GET_SEALS)
    assert seals & (F_SEAL_SEAL | F_SEAL_SHRINK) == F_SEAL_SEAL | F_SEAL_SHRINK


def test_a_task_cannot_make_the_memory_shorter(pool):
    """Which would kill whoever touches what is gone."""
    large = bytes(1 << 20)
    assert len(pool.submit(bytes, 1 << 20).result(30)) == 1 << 20
    assert pool.submit(jobs.shorten).result(30) == "refused"
    with pytest.raises(PermissionError):
        os.ftruncate(pool._hub.fd, 0)
    # Nor have others anything to add that would keep it from growing.
    with pytest.raises(PermissionError):
        fcntl.fcntl(pool._hub.fd, getattr(fcntl, "F_ADD_SEALS", 1033), 4)
    assert pool.submit(len, large).result(30) == 1 << 20


LIST = (
    "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir("
    "'/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}')), sep='\\n')"
)


def test_an_unrelated_program_has_none_of_them(pool):
    """Even where nobody closes anything before it."""
    assert pool.submit(abs, -1).result(30) == 1
    done = subprocess.run(
        [sys.executable, "-c", LIST],
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = done.stdout.splitlines()
    assert found
    assert not [target for target in found if target.startswith(OURS)]
    # A descriptor that is handed over on purpose is seen: the list can show one.
    os.set_inheritable(pool._hub.fd, True)
    done = subprocess.run(
        [sys.executable, "-c", LIST],
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    os.set_inheritable(pool._hub.fd, False)
    assert any(line.startswith(OURS) for line in done.stdout.splitlines())


def test_nor_has_a_program_that_a_worker_starts(pool):
    command = [sys.executable, "-c", LIST]
    options = {"close_fds": False, "timeout": 60}
    out = pool.submit(subprocess.check_output, command, **options).result(60)
    found = out.decode().splitlines()
    assert found
    assert not [target for target in found if target.startswith(OURS)]


@pytest.mark.unsanitized("address", "thread", reason=FORK)
def test_a_worker_has_its_own_pools_memory_and_no_other(context):
    """But what it has by being a copy of its parent, where it was forked."""
    with (
        futures_c.ProcessPoolExecutor(1, context) as other,
        futures_c.ProcessPoolExecutor(1, context) as pool,
    ):
        assert other.submit(abs, -1).result(30) == 1
        there = pool.submit(jobs.descriptors).result(30)
        mapped = pool.submit(jobs.segments).result(30)
        mine = os.fstat(pool._hub.fd).st_ino
        others = os.fstat(other._hub.fd).st_ino
    found = sorted(one.inode for one in there if jobs.is_segment(one))
    if context.get_start_method() == "fork":
        assert set(found) == mapped == {mine, others}
        # The parent's two, and the one that the worker sits on.
        assert len(found) == 3
        return
    assert found == [mine]
    assert mapped == {mine}
    targets = sorted(one.target for one in ours(there) if not jobs.is_segment(one))
    # The bell, and who watches the pool's process: nothing else of ours.
    assert targets == ["anon_inode:[eventfd]", "anon_inode:[pidfd]"]


def test_nor_has_what_multiprocessing_keeps(pool, context):
    """Its fork server hands them on, and lets go of them."""
    assert pool.submit(abs, -1).result(30) == 1
    pids = [resource_tracker._resource_tracker._pid]
    if context.get_start_method() == "forkserver":
        pids.append(forkserver._forkserver._forkserver_pid)
    looked_at = 0
    for pid in filter(None, pids):

        def targets(folder=f"/proc/{pid}/fd"):
            return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]

        assert targets()
        # The server may still be about to close what it has handed on.
        until(
            lambda targets=targets: not any(t.startswith(OURS) for t in targets()), 20
        )
        looked_at += 1
    assert looked_at or context.get_start_method() == "fork"


@pytest.mark.unsanitized("address", "thread", reason=FORK)
def test_another_user_cannot_open_it(pool):
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    assert pool.submit(abs, -1).result(30) == 1
    path = f"/proc/{os.getpid()}/fd/{pool._hub.fd}"
    os.close(os.open(path, os.O_RDWR))  # Its owner can.

    def open_as_nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        for flags in os.O_RDONLY, os.O_RDWR:
            with pytest.raises(PermissionError):
                os.open(path, flags)

    call_in_child(open_as_nobody, 30)


def test_nothing_with_a_name_is_left_about(context, tmp_path, script):
    """Whatever has a name while a pool works belongs to its user alone.

    Of ours there is nothing; multiprocessing keeps the fork server's socket in a
    folder of its own.
    """
    outcome = script(
        f"""
        import multiprocessing, os, stat, sys
        def held(pid):
            # What it has mapped and open: other programs have names there, too.
            with open(f"/proc/{{pid}}/maps") as file:
                for line in file:
                    yield line.split(maxsplit=5)[-1]
            for fd in os.listdir(f"/proc/{{pid}}/fd"):
                try:
                    yield os.readlink(f"/proc/{{pid}}/fd/{{fd}}")
                except FileNotFoundError:
                    pass
        context = multiprocessing.get_context({context.get_start_method()!r})
        with futures.ProcessPoolExecutor(2, context) as pool:
            assert len(pool.submit(bytes, 1 << 20).result(30)) == 1 << 20
            found = [x for pid in ["self", *pool._processes] for x in held(pid)]
            assert any("futures_c (deleted)" in x for x in found)
            print(*(x for x in found if x.startswith("/dev/shm/")))
            for name in os.listdir(os.environ["TMPDIR"]):
                mode = os.stat(os.path.join(os.environ["TMPDIR"], name)).st_mode
                print(name[:5], oct(mode))
        """,
        futures=futures_c,
        env={"TMPDIR": str(tmp_path)},
        flags=("-W", "ignore::DeprecationWarning"),
    )
    shared, *named = outcome.check().lines
    assert shared == ""
    assert set(named) <= {f"pymp- {stat.S_IFDIR | 0o700:#o}"}
