"""The benchmarks run, say what failed, and sum up right.

The first test runs every scenario with every rival, as a user does; it is
what keeps the benchmarks from rotting while the package changes.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from bench_shared import ROOT, invoke, made_up

from benchmarks import report, runner
from benchmarks.families import FAMILIES
from benchmarks.figures import FIGURES, Figure
from benchmarks.meter import Gate, Meter, Skip, held, need_memory
from benchmarks.results import Results, Sample, Summary
from benchmarks.rivals import RIVALS, Rival
from benchmarks.scenarios import SCENARIOS, Scenario, throughput

NUMPY = importlib.util.find_spec("numpy") is not None


def installed(rival: str) -> bool:
    """Say whether a rival can take part here."""
    kinds = {name: kind for f in FAMILIES.values() for name, kind in f.rivals.items()}
    module = getattr(kinds[rival], "module_name", None)
    return module is None or importlib.util.find_spec(module) is not None


@pytest.mark.slow
@pytest.mark.cap(240)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_scenario_runs_with_every_rival(family: str, tmp_path: Path) -> None:
    """A quick run measures each pair, prints the tables and stores it all."""
    if sys.version_info < FAMILIES[family].since:
        done = invoke(family, "--quick")
        assert done.returncode == 0 and "came with Python 3.14" in done.stdout
        return
    output = tmp_path / "run.json"
    done = invoke(family, "--quick", "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.load(output)
    free_threaded = results.python["free_threaded"]
    expected = {
        (scenario.name, rival)
        for scenario in FAMILIES[family].scenarios()
        for rival in scenario.rivals
        if free_threaded or not scenario.free_threaded_only
    }
    assert {(sample.scenario, sample.rival) for sample in results.samples} == expected
    for problem in results.problems():
        # Where a test runner has forced the GIL on, scaling has nothing to measure.
        assert (
            problem.scenario == "scaling"
            or not installed(problem.rival)
            or (problem.scenario.startswith("proc-array-") and not NUMPY)
        ), problem
    for scenario, _ in expected:
        assert scenario in done.stdout
    for figure in FIGURES:
        known = SCENARIOS[figure.scenario]
        measured = known.family == family and (
            free_threaded or not known.free_threaded_only
        )
        assert (f"| {figure.title} " in done.stdout) == measured
    if importlib.util.find_spec("matplotlib"):
        assert output.with_suffix(".png").stat().st_size > 10_000
    else:
        assert "no plot" in done.stdout


def test_run_is_what_the_demo_calls() -> None:
    """`run` measures a choice in fresh processes and tells how far it is."""
    seen: list[runner.Progress] = []
    results = runner.run(
        ["bulk-1", "start-100"],
        ["futures_c", "standard"],
        processes=2,
        quick=True,
        progress=seen.append,
    )
    order = [(step.round, step.scenario, step.rival) for step in seen]
    assert order == [
        (number, scenario, rival)
        for number in range(2)
        for scenario in ("bulk-1", "start-100")
        for rival in ("futures_c", "standard")
    ]
    found = results.ratio("bulk-1")
    assert found is not None and found.count == 2


@pytest.mark.parametrize("name", RIVALS)
def test_verbs_run_every_task(name: str) -> None:
    """No rival gets away without doing the work."""
    rival = RIVALS[name]()
    calls: list[object] = []
    called_back: list[object] = []
    with rival.pool(2) as pool:
        rival.results(rival.submit_all(pool, lambda: calls.append(0), 5))
        rival.results(rival.submit_each(pool, calls.append, range(5)))
        rival.wait(rival.submit_all(pool, lambda: calls.append(0), 5))
        rival.as_completed(pool, calls.append, 5)
        rival.map(pool, calls.append, range(5))
        rival.ping_pong(pool, lambda: calls.append(0), 5)
        rival.results(
            rival.call_back(pool, lambda: calls.append(0), called_back.append, 5)
        )
        assert len(calls) == 35
        rival.submit_and_forget(pool, calls.append, 0, 5)
    assert len(calls) == 40
    assert len(called_back) == 5


@pytest.mark.parametrize("name", ["futures_c", "standard", "threadpool"])
def test_held_workers_let_nothing_through(name: str) -> None:
    """A backlog waits until its gate opens, and drains then."""
    rival = RIVALS[name]()
    calls: list[int] = []
    with rival.pool(3) as pool:
        with held(rival, pool, 3) as gate:
            handles = rival.submit_each(pool, calls.append, range(10))
            assert calls == []
            gate.open()
            rival.results(handles)
        assert sorted(calls) == list(range(10))


def test_error_behind_a_gate_does_not_hang() -> None:
    """Whatever goes wrong in a gated block lets the workers go."""
    rival = RIVALS["standard"]()
    with pytest.raises(ZeroDivisionError), rival.pool(2) as pool:
        with held(rival, pool, 2):
            _ = 1 / 0


def test_gate_names_missing_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that starts too few workers is told apart from a slow one."""
    gate = Gate()
    monkeypatch.setattr(gate._inside, "acquire", lambda timeout: False)
    with pytest.raises(RuntimeError, match="not all of 3 workers"):
        gate.wait_for(3)


def test_meter_repeats_after_a_warm_up() -> None:
    """The first repetition counts for nothing, the others all do."""
    values = iter(float(i) for i in range(1000))
    measured = Meter().repeat(lambda: next(values))
    assert measured[0] == 1.0
    assert len(measured) >= 5
    assert Meter(quick=True).repeat(lambda: next(values)) == [len(measured) + 2]


def test_failure_is_reported_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that dies leaves its stderr in the results, and ends no run."""
    real_ask = runner.ask

    def ask(python: str, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if request.get("rival_name") == "standard":
            request = {**request, "rival_name": "nobody"}
        return real_ask(python, request, timeout)

    monkeypatch.setattr(runner, "ask", ask)
    results = runner.run(["bulk-1"], ["standard", "loop"], processes=2, quick=True)
    failed, *others = results.samples
    assert failed.error and "KeyError: 'nobody'" in failed.error
    # What failed once is not tried again; the other goes on.
    assert [sample.rival for sample in others] == ["loop", "loop"]
    assert all(sample.value for sample in others)
    text = report.full(results)
    assert "failed" in text and "KeyError: 'nobody'" in text


def test_hang_is_ended_with_its_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario beyond its time limit fails and shows where it stood."""
    code = (
        "import sys, time, dataclasses; sys.argv.pop(1)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks import child, scenarios\n"
        "def stuck(rival, meter): time.sleep(60)\n"
        "scenarios.SCENARIOS['bulk-1'] = dataclasses.replace(\n"
        "    scenarios.SCENARIOS['bulk-1'], function=stuck, full={}, quick={},\n"
        "    timeout=0.3)\n"
        "child.main()\n"
    )
    monkeypatch.setattr(runner, "BOOT", code)
    sample = runner.measure(sys.executable, SCENARIOS["bulk-1"], "loop", 0, True)
    assert sample.value is None
    assert sample.error and "Timeout" in sample.error and "stuck" in sample.error


def test_memory_that_is_not_there_skips() -> None:
    """A backlog that cannot fit is left out, with the reason."""
    with pytest.raises(Skip, match=r"needs 1000000\.0 GB"):
        need_memory(10**15)


def test_scenario_takes_the_median_of_its_repetitions() -> None:
    """One process counts with the median of what it measured."""

    def function(rival: Rival, meter: Meter, *, size: int) -> list[float]:
        return [1.0 * size, 9.0 * size, 2.0 * size]

    scenario = Scenario("one", "", function, {"size": 10}, {"size": 1})
    rival = RIVALS["loop"]()
    assert scenario.measure(rival, Meter()) == (20.0, [10.0, 90.0, 20.0])
    assert scenario.measure(rival, Meter(quick=True))[0] == 2.0


def test_ratio_pairs_rounds() -> None:
    """The ratio is the median of those within rounds, not that of medians."""
    results = made_up(futures_c=[1.0, 2.0, 4.0], standard=[10.0, 60.0, 20.0])
    found = results.ratio("bulk-1")
    assert found == Summary(10.0, 5.0, 30.0, 3)
    # A round that one rival lacks counts for neither.
    results.samples.append(Sample("bulk-1", "standard", 3, 1.0))
    assert results.ratio("bulk-1") == found


def test_ratio_of_what_should_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more is better, the ratio is turned round."""
    grown = dataclasses.replace(SCENARIOS["bulk-1"], more_is_better=True)
    monkeypatch.setitem(SCENARIOS, "bulk-1", grown)
    found = made_up(futures_c=[1.9], standard=[0.5]).ratio("bulk-1")
    assert found is not None and found.median == pytest.approx(3.8)


def test_verdicts() -> None:
    """Marks are met, missed and, with `always`, met by the worst process."""
    ratio = Figure("", "bulk-1", at_least=20, aim=35)
    assert ratio.verdict(Summary(19.9, 1, 99, 5)) == "short"
    assert ratio.verdict(Summary(20, 1, 99, 5)) == "pass"
    assert ratio.verdict(Summary(35, 1, 99, 5)) == "aim"
    size = Figure("", "bulk-1", at_least=256, aim=208, ceiling=True)
    assert size.verdict(Summary(257, 1, 999, 5)) == "short"
    assert size.verdict(Summary(256, 1, 999, 5)) == "pass"
    assert size.verdict(Summary(208, 1, 999, 5)) == "aim"
    never = dataclasses.replace(ratio, at_least=1, aim=5, always=True)
    assert never.verdict(Summary(9, 0.9, 10, 5)) == "short"
    assert never.verdict(Summary(9, 1.0, 10, 5)) == "aim"


def test_stored_run_is_the_run(tmp_path: Path) -> None:
    """What is stored reads back; another schema is refused."""
    results = made_up(futures_c=[1.0], standard=[2.0])
    results.samples.append(Sample("wait", "loop", 0, error="text"))
    path = tmp_path / "run.json"
    results.save(path)
    assert Results.load(path) == results
    plain = json.loads(path.read_text())
    path.write_text(json.dumps({**plain, "schema": 0}))
    with pytest.raises(ValueError, match=r"run\.json is not a result file"):
        Results.load(path)


def test_stored_runs_are_shown_and_compared(tmp_path: Path) -> None:
    """Two runs side by side: the change, in brackets where ranges overlap."""
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    made_up(futures_c=[100, 101], standard=[50, 60]).save(before)
    made_up(futures_c=[200, 202], standard=[55, 58]).save(after)
    compared = invoke("--compare", str(before), str(after))
    assert compared.returncode == 0, compared.stderr
    assert " +100 % " in compared.stdout
    assert "(+3 %)" in compared.stdout
    shown = invoke("--show", str(before), "--no-plot")
    assert shown.returncode == 0, shown.stderr
    assert "bulk-1" in shown.stdout


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123.4, "ns", "123 ns"),
        (1234, "ns", "1.23 us"),
        (45_600_000, "ns", "45.6 ms"),
        (1_450, "bytes", "1,450 B"),
        (35.04, "x", "35.0x"),
        (1.04, "switch intervals", "1.04 intervals"),
        (-12.0, "ns", "-12.0 ns"),
    ],
)
def test_amounts(value: float, unit: str, text: str) -> None:
    """Three digits, in the unit that suits."""
    assert report.amount(Summary(value, value, value, 1), unit) == text


@pytest.mark.parametrize("arguments", [["nothing"], ["--rivals", "nobody"]])
def test_wrong_names_are_said(arguments: list[str]) -> None:
    """What there is not is named, and nothing is measured."""
    done = invoke(*arguments)
    assert done.returncode == 1
    assert f"{arguments[-1]!r}" in done.stderr


def test_readme_lists_every_scenario() -> None:
    """The table in the README is the table in the code."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `") for line in text.splitlines() if "|" in line}
    assert set(SCENARIOS) <= rows
    starts = ("bulk-", "proc-", "interp-")
    names = {row for row in rows if row in SCENARIOS or row.startswith(starts)}
    assert names == set(SCENARIOS)


def test_bulk_measures_nanoseconds_per_task() -> None:
    """The loop's floor is plausible: a call, and nothing per run, is counted."""
    values = throughput.bulk(RIVALS["loop"](), Meter(), workers=1, tasks=10_000)
    assert 5 < median(values) < 2000
