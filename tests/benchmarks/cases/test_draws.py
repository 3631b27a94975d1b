"""What is drawn for a repetition."""

import numpy as np
import pytest

from samegrad.benchmarks.cases.draws import FACTORS, RATES, Draw, most_calls, parts, weights
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec

PARAMS = init_params(MLPSpec((6, 5, 3)))


def test_a_seed_gives_the_same_repetition_and_another_one_another():
    """In every part."""
    one, same, other = Draw(2**40 + 5, 1), Draw(2**40 + 5, 1), Draw(6, 2)

    assert one.learning_rate == same.learning_rate != other.learning_rate
    assert one.pairs(30, 4, 8) == same.pairs(30, 4, 8) != other.pairs(30, 4, 8)
    assert one.batches(30, 8) == same.batches(30, 8) != other.batches(30, 8)
    assert one.calls(1000) == same.calls(1000) != other.calls(1000)
    W, again, changed = (draw.params(PARAMS, 3)[1][0] for draw in (one, same, other))
    np.testing.assert_array_equal(W, again)
    assert (W != changed).all()


def test_no_pair_of_weights_and_batch_comes_twice():
    """Where there is memory for as many weights."""
    pairs = Draw(1).pairs(100, 16, weights(PARAMS, 100, 16))

    assert 100 == len(set(pairs))
    assert {number for number, _ in pairs} == set(range(7))


def test_weights_are_those_of_the_workload_times_factors():
    """Of each row and each bias another one, in its dtype: no product can be remembered."""
    drawn = [Draw(3).params(PARAMS, number) for number in range(5)]

    for W, b in (params[0] for params in drawn):
        rows, biases = W / PARAMS[0][0], b / PARAMS[0][1]
        assert (np.ptp(rows, axis=1) < 1e-6).all()
        assert 6 == len(set(rows[:, 0])) and 5 == len(set(biases))
        assert FACTORS[0] <= min(rows.min(), biases.min()) < max(rows.max(), biases.max())
        assert max(rows.max(), biases.max()) <= FACTORS[1] * 1.000001
    assert 5 == len({float(params[0][0][0, 0]) for params in drawn})
    assert {np.dtype("float32")} == {p.dtype for params in drawn for pair in params for p in pair}


def test_block_has_as_many_calls_as_there_are_pairs():
    """Of weights that fit into a cache, and batches."""
    large = [(np.zeros((1000, 2000), np.float32), None)]  # 8 MB

    assert most_calls(large, 4) == 16 == len(set(Draw(1).pairs(16, 4, weights(large, 16, 4))))
    most = most_calls(PARAMS, 16)
    assert most == len(set(Draw(1).pairs(most, 16, weights(PARAMS, most, 16)))) == 8192


def test_calls_are_never_fewer_and_one_stays_one():
    """A block has its length."""
    assert {1} == {Draw(seed).calls(1) for seed in range(20)}
    assert {100} < {Draw(seed).calls(100) for seed in range(50)} <= set(range(100, 113))


def test_learning_rates_are_of_one_range():
    """And exact in float32; one is that of a process, less where a network takes only less."""
    rates = [Draw(seed % 7, seed).learning_rate for seed in range(100)]

    assert RATES[0] <= min(rates) < max(rates) <= RATES[1]
    assert rates == [float(np.float32(rate)) for rate in rates]
    assert 1 == len({Draw(seed, 5).learning_rate for seed in range(9)})
    assert abs(Draw(1, 5, 0.01).learning_rate / Draw(1, 5).learning_rate - 0.01) < 1e-8


def test_smaller_batch_ends_each_epoch():
    """The others come in any order."""
    order = Draw(4).epoch(9, rest=True)

    assert 9 == order[-1] and sorted(order) == list(range(10))
    assert sorted(Draw(4).epoch(9, rest=False)) == list(range(9))


@pytest.mark.parametrize(
    ("each", "calls"), [(1, 5), (1, 256), (1, 700), (44, 3), (44, 13), (469, 2)]
)
@pytest.mark.parametrize(
    ("sizes", "most"), [((64, 32, 10), 256), ((784, 128, 64, 10), 42), ((784, 4096, 10), 16)]
)
def test_parts_of_a_chain_are_short_and_end_with_calls_where_they_can(sizes, most, each, calls):
    """Nothing is left out; the more kinks a step has, the fewer are in a part."""
    lengths = parts(MLPSpec(sizes), 32, each, calls)

    assert each * calls == sum(lengths) and max(lengths) <= most
    assert all(length % each == 0 for length in lengths) or each > most
    assert most // 2 < max(lengths) or max(lengths) == each * calls


@pytest.mark.parametrize(("steps", "batch_size"), [(469, 128), (1875, 32)])
def test_parts_of_an_epoch_leave_few_steps_over(steps, batch_size):
    """Which JAX takes as they are: a program for a rest of 27 would be compiled for it alone."""
    lengths = parts(MLPSpec((784, 128, 64, 10)), batch_size, steps, 2)

    assert 2 == len(set(lengths)) and lengths[-1] <= 3 and 2 * steps == sum(lengths)


def test_chain_of_a_rule_with_a_state_is_one_part():
    """Its state is not handed in."""
    assert [700] == parts(MLPSpec((64, 32, 10), optimizer="adam"), 32, 1, 700)
