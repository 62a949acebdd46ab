"""`pytest tests/conformance`: CPython's own tests, with the module swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from conformance import nodes, skips


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the conformance run."""
    group = parser.getgroup("conformance", "CPython's tests of concurrent.futures")
    group.addoption(
        "--identity",
        action="store_true",
        help="swap the standard module by itself: what passes without us",
    )
    group.addoption(
        "--later",
        action="store_true",
        help="run the classes too that wait for a part of ours (skips.LATER)",
    )
    group.addoption(
        "--conformance-jobs",
        type=int,
        default=nodes.DEFAULTS["conformance_jobs"],
        metavar="N",
        help="classes that run at the same time (default: %(default)s)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """Put CPython's tests in the place of test_cpython.py."""
    if module_path.name != "test_cpython.py":
        return None
    return nodes.CPythonSuite.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the time a test took, not how long pytest waited for it."""
    report = yield
    if isinstance(item, nodes.CPythonTest) and report.when == "call":
        if item.outcome is not None:
            report.duration = item.outcome.seconds
        if report.skipped and isinstance(report.longrepr, tuple):
            path, line, _ = item.reportinfo()
            report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop what runs and remove the environment."""
    if nodes.running in session.config.stash:
        session.config.stash[nodes.running].close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Count the outcomes by module and list what was skipped."""
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.getreports(outcome):
            names = report.nodeid.split("::")
            if names[0].endswith("test_cpython.py") and len(names) > 2:
                counts.setdefault(names[1], Counter())[outcome] += 1
    if not counts:
        return
    title = "the standard module by itself" if nodes.option(config, "identity") else (
        f"concurrent.futures swapped by {nodes.TARGET}"
    )  # fmt: skip
    terminalreporter.section(f"CPython's tests, {title}")
    for module, outcomes in counts.items():
        line = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        terminalreporter.line(f"{module}: {line}")
    version = skips.running_version()
    ours = [skip for skip in skips.SKIPS if skip.applies(version)]
    terminalreporter.line(f"skipped by us: {len(ours) or 'none'}")
    for skip in ours:
        terminalreporter.line(f"  {skip.test}: {skip.reason}")
    for pattern, count in config.stash[nodes.left_out].items():
        reason = skips.LATER[pattern]
        terminalreporter.line(f"left out: {count} tests of {pattern}: {reason}")
