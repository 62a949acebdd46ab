"""The packages, what of each is run, and what is left out, with the reasons.

Versions are in requirements.txt and sdists.txt.  To add a package: pin it in the
first, in the second too if its wheel has no tests, and give it an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Package:
    """One released package and the tests that are run of it."""

    #: The name by which it is installed.
    name: str
    #: What of it lives on concurrent.futures: a column of the page.
    uses: str
    #: The arguments that pick the tests; paths lie below where they are.
    select: tuple[str, ...]
    #: Where the tests are: "wheel", installed with it, or "sdist", unpacked from
    #: its source distribution.
    tests: str = "sdist"
    #: Whether its settings of pytest, in its source distribution, are taken.
    own_settings: bool = True
    #: Arguments for pytest: its plugins, of which none is loaded by itself, and
    #: settings.
    options: tuple[str, ...] = ()
    #: Tests that are not run, by node id, and why.
    left_out: dict[str, str] = field(default_factory=dict)
    #: Tests that fail now and then without futures_c too, by node id, and why.
    unsteady: dict[str, str] = field(default_factory=dict)
    #: Passes below which something must be wrong with the run itself.
    least: int = 1


#: Of loky's tests those of futures; others start workers for seconds.
JOBLIB = (
    "threading or loky and (generator or error or exception or timeout or abort"
    " or as_context or reuse or background or dispatch)"
)

PACKAGES = (
    Package(
        "requests-futures",
        "a session whose requests run in a thread or process pool",
        ("tests",),
        options=("-p", "pytest_httpbin.plugin"),
        least=30,
    ),
    Package(
        "tqdm",
        "`thread_map`, `process_map` and `interpreter_map`, and asyncio's bars",
        ("tests/tests_concurrent.py", "tests/tests_asyncio.py"),
        options=("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"),
        least=22,
    ),
    Package(
        "joblib",
        "the threading backend, and loky, whose executor and futures are derived",
        ("joblib/test/test_parallel.py", "-k", JOBLIB),
        tests="wheel",
        own_settings=False,
        least=175,
    ),
    Package(
        "dask",
        "the threaded, local and process schedulers, which take any executor",
        (
            "dask/tests/test_threaded.py",
            "dask/tests/test_local.py",
            "dask/tests/test_multiprocessing.py",
            "dask/tests/test_callbacks.py",
            "dask/tests/test_base.py",
            "dask/tests/test_delayed.py",
        ),
        tests="wheel",
        own_settings=False,
        least=165,
    ),
    Package(
        "anyio",
        "futures of `from_thread` and portals, asyncio's executor, `to_process`",
        (
            "tests/test_from_thread.py",
            "tests/test_to_thread.py",
            "tests/test_to_process.py",
            "tests/test_fileio.py",
        ),
        least=560,
    ),
    Package(
        "asgiref",
        "`sync_to_async` and `async_to_sync`, an executor of its own",
        (
            "tests/test_sync.py",
            "tests/test_sync_contextvars.py",
            "tests/test_sync_executor_context_scenario.py",
            "tests/test_sync_thread_sensitive_context.py",
            "tests/test_server.py",
            "tests/test_wsgi.py",
        ),
        options=("-p", "pytest_asyncio.plugin"),
        least=90,
    ),
    Package(
        "tornado",
        "`run_on_executor`, `run_in_executor`, futures in coroutines, WSGI",
        (
            "tornado/test/concurrent_test.py",
            "tornado/test/ioloop_test.py",
            "tornado/test/gen_test.py",
            "tornado/test/asyncio_test.py",
            "tornado/test/wsgi_test.py",
            "tornado/test/netutil_test.py",
            "tornado/test/circlerefs_test.py",
        ),
        tests="wheel",
        own_settings=False,
        # As their own runner does: some tests see to it that nothing is logged.
        options=("--log-disable", "tornado.access"),
        least=180,
    ),
    Package(
        "aiohttp",
        "names are looked up, files read and bodies compressed in asyncio's executor",
        (
            "tests/test_payload.py",
            "tests/test_resolver.py",
            "tests/test_web_response.py",
            "tests/test_web_sendfile.py",
            "tests/test_web_sendfile_functional.py",
        ),
        own_settings=False,
        options=("-p", "pytest_mock", "-p", "pytest_timeout"),
        least=370,
    ),
)
