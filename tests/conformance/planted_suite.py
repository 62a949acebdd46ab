"""A suite with a known outcome for each test, to try the harness on.

It is installed beside the swap and run in the place of CPython's tests.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
import unittest
from concurrent import futures

from test.support import threading_helper
from test.support.script_helper import assert_python_ok


class Plain(unittest.TestCase):
    """Every way in which a test may end."""

    def test_passes(self) -> None:
        print("said by test_passes")

    def test_fails(self) -> None:
        self.fail("planted failure")

    def test_raises(self) -> None:
        raise LookupError("planted error")

    def test_fails_in_subtest(self) -> None:
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

    @unittest.skip("planted reason")
    def test_skips(self) -> None:
        self.fail("not reached")

    @unittest.expectedFailure
    def test_fails_as_expected(self) -> None:
        self.fail("planted failure")

    @unittest.expectedFailure
    def test_passes_unexpectedly(self) -> None:
        pass


class Hangs(unittest.TestCase):
    """Tests that do not end, among some that do."""

    def test_a_passes(self) -> None:
        pass

    def test_b_waits_for_ever(self) -> None:
        threading.Event().wait()

    def test_c_waits_for_a_script(self) -> None:
        assert_python_ok("-c", "def stuck(): import time; time.sleep(999)\nstuck()")

    def test_d_passes(self) -> None:
        pass


class Dies(unittest.TestCase):
    """Tests that take the process with them."""

    def test_a_passes(self) -> None:
        pass

    def test_b_is_killed(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def test_c_leaves(self) -> None:
        os._exit(0)

    def test_d_passes(self) -> None:
        pass


class LeavesThread(unittest.TestCase):
    """A test after which a thread still runs."""

    def setUp(self) -> None:
        self._key = threading_helper.threading_setup()

    def tearDown(self) -> None:
        threading_helper.threading_cleanup(*self._key)

    def test_leaves_a_thread(self) -> None:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()

    def test_leaves_none(self) -> None:
        pass


class SetUpClassFails(unittest.TestCase):
    """A class that cannot be set up."""

    @classmethod
    def setUpClass(cls) -> None:
        raise LookupError("planted in setUpClass")

    def test_one(self) -> None:
        pass

    def test_two(self) -> None:
        pass


class SetUpClassSkips(unittest.TestCase):
    """A class that does not want to run."""

    @classmethod
    def setUpClass(cls) -> None:
        raise unittest.SkipTest("planted for the class")

    def test_one(self) -> None:
        pass


class TearDownClassFails(unittest.TestCase):
    """A class that fails when all is done."""

    @classmethod
    def tearDownClass(cls) -> None:
        raise LookupError("planted in tearDownClass")

    def test_one(self) -> None:
        pass

    def test_two(self) -> None:
        pass


class ExitFails(unittest.TestCase):
    """A process that ends badly after its last test."""

    def test_one(self) -> None:
        atexit.register(os._exit, 3)


class ExitHangs(unittest.TestCase):
    """A process that does not end after its last test."""

    def test_one(self) -> None:
        threading.Thread(target=time.sleep, args=(999,)).start()


class OnStandard(unittest.TestCase):
    """A class that gets hold of the standard executor in spite of the swap."""

    def setUp(self) -> None:
        for kind in futures.ThreadPoolExecutor.__mro__:
            if kind.__module__ == "concurrent.futures.thread":
                self.executor = kind()
                return

    def test_one(self) -> None:
        pass
