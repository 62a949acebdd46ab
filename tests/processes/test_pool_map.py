"""What map() gathers into batches, and what goes by itself among them."""

import pytest

from . import jobs

#: More than a batch may have of bytes, so that it goes by itself.
LONG = 40_000


@pytest.mark.parametrize("lone_at", [0, 1, 31, 32, 99])
def test_what_is_not_plain_goes_in_its_place(make, lone_at):
    pool = make(2)
    inputs: list[object] = list(range(100))
    inputs[lone_at] = {"not": ["plain"]}
    assert list(pool.map(jobs.identity, inputs, timeout=30)) == inputs
    pool.shutdown()


@pytest.mark.parametrize("size", [100, 3_000, 16_000, LONG, 300_000])
def test_batches_end_where_their_bytes_do(make, size):
    pool = make(2)
    inputs = [bytes([i]) * (size + i) for i in range(60)]
    assert list(pool.map(jobs.identity, inputs, timeout=30)) == inputs
    pool.shutdown()


def test_long_and_short_in_turn(make):
    pool = make(2)
    inputs = [b"x" * (LONG if i % 3 == 0 else i) for i in range(50)]
    numbers = tuple(range(50))
    mapped = pool.map(jobs.pair, inputs, numbers, timeout=30)
    assert list(mapped) == list(zip(inputs, numbers, strict=True))
    pool.shutdown()


def test_the_shortest_of_many_ends_it(make):
    pool = make(1)
    for many in 2, 16, 17:
        inputs = [range(7), *[[5] * 9] * (many - 1)]
        assert list(pool.map(max, *inputs, timeout=30)) == [5] * 6 + [6]
    pool.shutdown()


def test_one_that_goes_alone_raises_in_its_turn(make):
    pool = make(1)
    mapped = pool.map(int, ["1", "2", [], "4"], timeout=30)
    assert next(mapped) == 1 and next(mapped) == 2
    with pytest.raises(TypeError):
        next(mapped)
    assert next(mapped, None) is None
    pool.shutdown()


@pytest.mark.parametrize("lone", [False, True])
def test_a_map_that_is_closed_cancels_the_rest(make, gate, lone):
    pool = make(1, **gate.options)
    inputs = [[i] if lone else i for i in range(200)]
    # All but the first one wait for the gate.
    mapped = pool.map(jobs.hold, inputs, [0] + [30] * 199, timeout=30)
    assert next(mapped) == inputs[0]
    mapped.close()
    gate.open()
    assert next(mapped, None) is None
    pool.shutdown()
    begun = 0
    while gate.has_begun():
        gate.wait_begun()
        begun += 1
    assert begun < 200


PLAIN = [True, False, None, 0, -1, 2**62, 2**63, -(2**64), 0.5, "", "é", b"", (), (1,)]


def test_results_of_every_kind(make):
    pool = make(2)
    inputs = PLAIN * 20
    results = list(pool.map(jobs.identity, inputs, timeout=30))
    assert results == inputs
    assert [type(one) for one in results] == [type(one) for one in inputs]
    pool.shutdown()


def test_all_forms_of_a_call_wait_where_there_is_no_room(make, gate):
    pool = make(1, **gate.options)
    first = pool.submit(jobs.hold, 0)
    gate.wait_begun()
    # More than there are places in shared memory.
    many = [pool.submit(jobs.identity, i) for i in range(10_000)]
    named = pool.submit(jobs.pair, second=2, first=1)
    longer = pool.submit(max, *range(30))
    mapped = pool.map(jobs.identity, range(100), timeout=60)
    lone = pool.map(jobs.identity, [[1], [2]], timeout=60)
    gate.open()
    assert first.result(30) == 0
    assert [future.result(30) for future in many] == list(range(10_000))
    assert named.result(30) == (1, 2) and longer.result(30) == 29
    assert list(mapped) == list(range(100)) and list(lone) == [[1], [2]]
    pool.shutdown()
