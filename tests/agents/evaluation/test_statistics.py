from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.agents.evaluation.bootstrap import Interval, crossed_bootstrap
from olrl.agents.evaluation.pairs import Pairs, pair
from olrl.agents.evaluation.statistics import (
    improvement,
    iqm,
    iqm_percent,
    mean_difference,
    normalised_score,
    worst_percent,
)
from tests.agents.evaluation.tables_by_hand import row, rows


def pairs_of(loss: NDArray[np.float64], rival: NDArray[np.float64]) -> Pairs:
    policies, streams = loss.shape
    return Pairs(
        entrant="policy",
        against="fixed",
        policies=tuple(range(policies)),
        streams=tuple(f"s{k}" for k in range(streams)),
        kinds=("abrupt",) * streams,
        loss=loss,
        rival=rival,
    )


FIXED = rows("fixed", {"a": 2.0, "b": 4.0})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([8, 1, 2, 7, 3, 6, 4, 5], 4.5),  # without 1, 2, 7, 8
        ([-90, 0, 1, 2, 3, 800], 1.5),  # floor(6 / 4) = 1 goes at each end
        ([1, 2, 6], 3.0),  # too few to drop any
        ([5], 5.0),
    ],
)
def test_the_interquartile_mean_drops_a_quarter_at_each_end(values: list[float], expected: float) -> None:
    assert iqm(np.array(values, dtype=float)) == expected
    assert iqm(np.array([values, values], dtype=float)).tolist() == [expected, expected]  # rows by themselves


def test_differences_are_of_the_same_stream_whatever_the_order_of_rows() -> None:
    found = pair(rows("base", {"b": 5.0, "a": 2.5}), FIXED)
    by_stream = dict(zip(found.streams, found.percent[0], strict=True))
    assert by_stream == {"a": 25.0, "b": 25.0}  # 0.5 of 2 and 1 of 4: not 1 of 2 and 0.5 of 4
    assert iqm_percent(found).value == 25.0
    assert mean_difference(found).value == 0.75


def test_policies_and_streams_are_crossed_factors() -> None:
    losses = {0: {"a": 1.0, "b": 4.0}, 1: {"a": 3.0, "b": 3.0}}
    mine = [r for seed, of in losses.items() for r in rows("policy", of, policy_seed=seed)]
    found = pair(mine, FIXED)
    assert found.policies == (0, 1)
    assert found.difference.tolist() == [[-1.0, 0.0], [1.0, -1.0]]
    # of four pairs two are lower, one is equal and counts half
    assert improvement(found).value == 0.625
    assert mean_difference(found).over == "policies and streams"
    assert mean_difference(pair(rows("base", {"a": 1.0, "b": 1.0}), FIXED)).over == "streams"


def test_seeds_of_the_learner_are_averaged_before_pairing() -> None:
    mine = [row("base", "a", 3.0), row("base", "a", 4.0, seed=1)]
    fixed = [row("fixed", "a", 2.0), row("fixed", "a", 3.0, seed=1)]
    assert pair(mine, fixed).difference.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        (rows("policy", {"a": 1.0}, policy_seed=3), "policy seed 3 has no run on stream 'b' with seed 0"),
        (rows("base", {"a": 1.0, "b": 1.0, "c": 1.0}), "'fixed' has no run on stream 'c' with seed 0"),
        ([*rows("base", {"a": 1.0, "b": 1.0}), row("base", "a", 1.0, seed=1)], "on stream 'b' with seed 1"),
        (rows("base", {"a": 1.0, "b": 1.0}) * 2, "two runs .* on stream 'a'"),
        ([], "the entrant has no runs"),
    ],
)
def test_a_pair_that_is_missing_is_named_and_not_dropped(mine: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pair(mine, FIXED)


def test_the_score_is_a_ratio_of_sums_and_not_a_mean_of_ratios() -> None:
    fixed = rows("fixed", {"a": 2.0, "b": 4.0})
    best = pair(rows("segment-best", {"b": 3.5, "a": 1.5}), fixed)  # 0.5 to gain on each
    found = normalised_score(pair(rows("base", {"a": 1.8, "b": 4.1}), fixed), best)
    assert found is not None
    assert found.value == pytest.approx((0.2 - 0.1) / (0.5 + 0.5))
    uneven = pair(rows("segment-best", {"a": 1.9, "b": 3.1}), fixed)  # 0.1 and 0.9
    found = normalised_score(pair(rows("base", {"a": 1.8, "b": 4.0}), fixed), uneven)
    assert found is not None
    assert found.value == pytest.approx(0.2)  # the mean of ratios, 2 and 0, would be 1
    itself = normalised_score(best, best)
    assert itself is not None
    assert (itself.value, itself.low, itself.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_score_where_nothing_can_be_gained_is_none() -> None:
    same = pair(rows("segment-best", {"a": 2.0, "b": 4.0}), FIXED)
    assert normalised_score(pair(rows("base", {"a": 1.0, "b": 1.0}), FIXED), same) is None


def test_a_score_on_other_streams_is_refused() -> None:
    best = pair(rows("segment-best", {"a": 1.0}), rows("fixed", {"a": 2.0}))
    with pytest.raises(ValueError, match="stream 'b' was run by only one"):
        normalised_score(pair(rows("base", {"a": 1.0, "b": 1.0}), FIXED), best)


def test_an_interval_of_equal_differences_has_no_width() -> None:
    found = mean_difference(pairs_of(np.full((3, 7), 1.5), np.full(7, 2.0)))
    assert found == Interval(value=-0.5, low=-0.5, high=-0.5, over="policies and streams")


def test_one_stream_has_no_interval() -> None:
    found = mean_difference(pairs_of(np.array([[1.5], [1.0]]), np.array([2.0])))
    assert (found.value, found.low, found.high) == (-0.75, None, None)


def test_a_lucky_policy_widens_the_interval_and_pooling_would_not() -> None:
    offsets = np.array([-0.3, 0.0, 0.3])[:, None]
    found = mean_difference(pairs_of(2.0 + offsets + np.zeros((3, 40)), np.full(40, 2.0)))
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(-0.3)  # all three draws the lucky one: 1 in 27, more than 2.5 %
    assert found.high == pytest.approx(0.3)


def test_the_worst_streams_are_those_with_the_highest_relative_loss() -> None:
    loss = np.full((2, 20), 2.0)
    loss[0, 3], loss[1, 5], loss[1, 6] = 3.0, 2.8, 1.0
    assert worst_percent(pairs_of(loss, np.full(20, 2.0))) == pytest.approx((50 + 40) / 2)  # 2 of 40 pairs
    assert worst_percent(pairs_of(loss[:1, :4], np.full(4, 2.0))) == pytest.approx(50)


def test_the_same_seed_gives_the_same_interval() -> None:
    table = np.random.default_rng(0).normal(size=(1, 3, 9))

    def mean(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(drawn[0].mean(axis=(1, 2)))

    assert crossed_bootstrap(table, mean) == crossed_bootstrap(table, mean)
    assert crossed_bootstrap(table, mean) != crossed_bootstrap(table, mean, seed=1)


@pytest.mark.parametrize(("policies", "streams"), [(1, 30), (12, 30)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(policies: int, streams: int) -> None:
    rng = np.random.default_rng(7)
    truth, repetitions, covered = -0.04, 300, 0
    for k in range(repetitions):
        of_policy = 0.02 * rng.normal(size=(policies, 1)) if policies > 1 else np.zeros((1, 1))
        of_stream = 0.05 * rng.normal(size=(1, streams))
        difference = truth + of_policy + of_stream + 0.03 * rng.normal(size=(policies, streams))
        pairs = pairs_of(2.0 + difference, np.full(streams, 2.0))
        found = mean_difference(pairs, resamples=400, seed=k)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / repetitions <= 0.985
