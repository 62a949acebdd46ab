"""coverage.py measures what runs in workers, threads and processes."""

import os
import re
import subprocess
import sys

import pytest

coverage = pytest.importorskip("coverage")

PROGRAM = """\
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def in_a_worker(number):
    if number < 0:
        return "never"
    doubled = number * 2
    return doubled


def only_by_map(number):
    return number + 1


def main(kind, method):
    if kind == "threads":
        pool = ThreadPoolExecutor(2)
    else:
        import multiprocessing
        pool = ProcessPoolExecutor(2, multiprocessing.get_context(method))
    with pool:
        print(pool.submit(in_a_worker, 2).result(30))
        print(*pool.map(only_by_map, [1, 2]))
    print(ThreadPoolExecutor.__module__)


if __name__ == "__main__":
    main(*sys.argv[1:])
"""

CONFIG = """\
[run]
concurrency = thread,multiprocessing
parallel = true
branch = true
source = {here}
data_file = {here}/.coverage
"""


def line_of(text):
    return PROGRAM.splitlines().index(text) + 1


@pytest.mark.parametrize(
    ("kind", "method"),
    [("threads", "-"), ("processes", "fork"), ("processes", "spawn")],
)
def test_lines_in_workers_are_measured(futures, tmp_path, kind, method):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    config = tmp_path / "coveragerc"
    config.write_text(CONFIG.format(here=tmp_path))
    ours = futures.__name__ == "futures_c"
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "PYTHON"))
    }
    environ["FUTURES_C_INSTALL"] = "1" if ours else "0"
    command = ["coverage", "run", f"--rcfile={config}", str(program), kind, method]
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    name = "futures_c.thread" if ours else "concurrent.futures.thread"
    assert ran.stdout.splitlines() == ["4", "2 3", name]

    found = coverage.Coverage(config_file=str(config))
    found.combine([str(tmp_path)])
    data = found.get_data()
    (measured,) = data.measured_files()
    _, statements, _, missing, _ = found.analysis2(measured)
    expected = [line_of('        return "never"')]
    if kind == "threads":
        expected += [
            number
            for number in statements
            if re.search(
                "import multiprocessing$|= ProcessPool",
                PROGRAM.splitlines()[number - 1],
            )
        ]
    else:
        expected.append(line_of("        pool = ThreadPoolExecutor(2)"))
    assert sorted(missing) == sorted(expected)
    data.close()
