import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrl.control.actions import ACTION_CODINGS, action_coding, coding_from_spec
from olrl.control.coding import ActionCoding
from olrl.control.decision import WINDOWS, Base
from tests.control.literal_codings import LiteralCoding

CODINGS = [coding() for coding in ACTION_CODINGS.values()]
codings = pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name)
bases = st.builds(
    Base,
    lr=st.floats(1e-8, 10),
    batch_size=st.integers(1, 64),
    window=st.sampled_from(WINDOWS),
)


def sampled(coding: ActionCoding, rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, coding.nvec, size=(n, len(coding.nvec)))


@codings
@given(base=bases, seed=st.integers(0, 99), cosine=st.floats(-1, 1))
def test_decisions_stay_in_their_bounds(coding: ActionCoding, base: Base, seed: int, cosine: float) -> None:
    state = coding.start_at([base])
    rng = np.random.default_rng(seed)
    for _ in range(20):
        decision = coding.apply(state, sampled(coding, rng, 1), {"grad_cos": np.array([cosine])}).single()
        assert base.lr / 64 <= decision.lr * (1 + 1e-12)
        assert decision.lr <= base.lr * 64 * (1 + 1e-12)
        assert 1 <= decision.batch_size <= 64
        assert decision.window in WINDOWS


@codings
def test_decisions_are_those_of_the_rules_written_out_for_one_learner(coding: ActionCoding) -> None:
    rng = np.random.default_rng(5)
    some = [Base(lr=10.0**-k, batch_size=(1, 3, 12, 24, 64)[k], window=WINDOWS[k]) for k in range(5)]
    state, literal = coding.start_at(some), [LiteralCoding(coding.name, base) for base in some]
    for _ in range(60):
        actions = sampled(coding, rng, 5)
        cosines = rng.choice([np.nan, np.inf, -2.0, -0.4, 0.1, 0.9], 5)
        ages = rng.choice([np.nan, 0.0, 1.0], 5)
        decisions = coding.apply(state, actions, {"grad_cos": cosines, "gradient_age": ages})
        for k, one in enumerate(literal):
            expected = one.apply(actions[k].tolist(), float(cosines[k]), float(ages[k]))
            found = decisions.single(k)
            assert found.lr == pytest.approx(expected.lr, rel=1e-12)
            assert replace(found, lr=expected.lr) == expected


@codings
def test_many_learners_at_once_move_as_each_alone(coding: ActionCoding) -> None:
    some = [Base(lr=1e-3 * k, batch_size=3 * k, window=WINDOWS[k]) for k in range(1, 6)]
    together, alone = coding.start_at(some), [coding.start_at([base]) for base in some]
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions, cosines = sampled(coding, rng, 5), rng.uniform(-1, 1, 5)
        batch = coding.apply(together, actions, {"grad_cos": cosines})
        for k, state in enumerate(alone):
            one = coding.apply(state, actions[k : k + 1], {"grad_cos": cosines[k : k + 1]})
            assert one.single() == batch.single(k)


@codings
def test_staying_changes_nothing_wherever_it_stands(coding: ActionCoding) -> None:
    state = coding.start_at([Base(lr=1e-3, batch_size=8, window=4)])
    rng = np.random.default_rng(1)
    for _ in range(20):
        before = coding.apply(state, sampled(coding, rng, 1)).single()
        after = coding.apply(state, coding.stay(state)).single()
        assert (after.lr, after.batch_size, after.window) == (before.lr, before.batch_size, before.window)
        assert after.update


@codings
def test_saved_state_continues_the_same(coding: ActionCoding) -> None:
    base = [Base(lr=1e-3, batch_size=12, window=0)]
    state, rng = coding.start_at(base), np.random.default_rng(2)
    for _ in range(7):
        coding.apply(state, sampled(coding, rng, 1))
    loaded = coding.start_at(base)
    loaded.load_state_dict(json.loads(json.dumps(state.state_dict())))
    actions = sampled(coding, rng, 1)
    assert coding.apply(loaded, actions).single() == coding.apply(state, actions).single()


@codings
def test_the_spec_rebuilds_the_coding(coding: ActionCoding) -> None:
    rebuilt = coding_from_spec(json.loads(json.dumps(coding.spec())))
    assert (rebuilt.name, rebuilt.nvec, rebuilt.settings()) == (coding.name, coding.nvec, coding.settings())


@given(base=bases, ups=st.integers(1, 9), downs=st.integers(1, 9))
def test_moves_can_be_undone_even_beyond_a_bound(base: Base, ups: int, downs: int) -> None:
    # Pushing against a bound must not be remembered: one notch back always acts at once.
    coding = action_coding("moves")
    state = coding.start_at([base])
    up, down = np.array([[2, 2, 2, 1]]), np.array([[0, 0, 0, 1]])
    for _ in range(20):
        coding.apply(state, up)
    top = coding.apply(state, up).single()
    lower = coding.apply(state, down).single()
    assert lower.lr == top.lr / 2
    assert lower.batch_size < top.batch_size
    assert coding.apply(state, up).single() == top


def test_regularisation_moves_along_its_ladder_from_wherever_the_base_is() -> None:
    coding = action_coding("moves-regularised")
    state = coding.start_at([Base(lr=1e-3, weight_decay=0.2, pull=50.0)])
    up, down = np.array([[1, 1, 1, 2, 2, 1]]), np.array([[1, 1, 1, 0, 0, 1]])
    seen = [coding.apply(state, action).single() for action in (coding.stay(state), up, up, down, down, down)]
    assert [d.weight_decay for d in seen] == [0.2, 0.3, 1.0, 0.3, 0.1, 0.0]
    assert [d.pull for d in seen] == [
        50.0,
        50.0,
        50.0,
        30.0,
        10.0,
        3.0,
    ]  # above the ladder there is nothing to go to


def test_codings_that_do_not_control_regularisation_leave_it_to_the_base() -> None:
    base = Base(lr=1e-3, weight_decay=0.2, pull=0.7)
    coding = action_coding("moves")
    state = coding.start_at([base])
    decision = coding.apply(state, coding.stay(state)).single(base=base)
    assert decision == base.decision()


def test_a_state_of_before_there_was_a_pull_goes_on() -> None:
    coding = action_coding("moves")
    state = coding.start_at([Base(lr=1e-3)])
    old = {name: value for name, value in state.state_dict().items() if name not in ("weight_decay", "pull")}
    state.load_state_dict(old)
    assert coding.apply(state, coding.stay(state)).single() == Base(lr=1e-3).decision()


def test_last_head_skips_at_zero_and_trains_at_one() -> None:
    coding = action_coding("moves")
    state = coding.start_at([Base(lr=1e-3)])
    assert not coding.apply(state, np.array([[1, 1, 1, 0]])).single().update
    assert coding.apply(state, np.array([[1, 1, 1, 1]])).single().update


def test_positions_reach_the_whole_of_both_ladders_from_a_base_off_them() -> None:
    coding = action_coding("positions")
    state = coding.start_at([Base(lr=1e-3, batch_size=12, window=8)])
    reached = [coding.apply(state, np.array([[1, k % 7, k, 1]])).single() for k in range(8)]
    assert [d.batch_size for d in reached] == [1, 2, 4, 8, 16, 32, 64, 1]
    assert tuple(d.window for d in reached) == WINDOWS


def test_anchored_reads_the_rate_from_the_action_alone() -> None:
    coding = action_coding("anchored")
    state = coding.start_at([Base(lr=1.0)])
    assert [coding.apply(state, np.array([[k, 3, 3, 1]])).single().lr for k in (0, 6, 12)] == [
        1 / 64,
        1.0,
        64.0,
    ]


def test_residual_without_a_move_is_the_hypergradient_step() -> None:
    coding = action_coding("residual", beta=2.0)
    state = coding.start_at([Base(lr=1.0)])
    stay = coding.stay(state)
    step = coding.apply(state, stay, {"grad_cos": np.array([0.5]), "gradient_age": np.array([0.0])}).single()
    assert step.lr == pytest.approx(np.e)
    aged = coding.apply(state, stay, {"grad_cos": np.array([0.5]), "gradient_age": np.array([1.0])}).single()
    assert aged.lr == step.lr
    missing = coding.apply(state, stay, {"grad_cos": np.array([np.nan])}).single()
    assert missing.lr == step.lr


def test_going_to_what_is_in_force_stands_there_or_as_near_as_bounds_allow() -> None:
    coding = action_coding("moves")
    state = coding.start_at([Base(lr=1e-3, batch_size=8, window=4)])
    state.go_to(lr=5e-4, batch_size=3, window=0)
    decision = coding.apply(state, coding.stay(state)).single()
    assert (decision.lr, decision.batch_size, decision.window) == (5e-4, 3, 0)
    state.go_to(lr=1.0, batch_size=1000, window=5)
    decision = coding.apply(state, coding.stay(state)).single()
    assert decision.lr == pytest.approx(64e-3)
    assert (decision.batch_size, decision.window) == (64, 4)


def test_one_learner_of_a_state_can_be_replaced() -> None:
    coding = action_coding("moves")
    state = coding.start_at([Base(lr=1e-3), Base(lr=2e-3)])
    state.put(np.array([False, True]), coding.start_at([Base(lr=8e-3, batch_size=4)]))
    decisions = coding.apply(state, coding.stay(state))
    assert decisions.lr.tolist() == [1e-3, 8e-3]
    assert decisions.batch_size.tolist() == [8, 4]


@pytest.mark.parametrize("actions", [[[1, 1, 1]], [[1, 1, 1, 2]], [[-1, 1, 1, 1]], [[1, 1, 1, 1]] * 2])
def test_actions_out_of_range_or_shape_are_refused(actions: list[list[int]]) -> None:
    coding = action_coding("moves")
    with pytest.raises(ValueError, match="actions"):
        coding.apply(coding.start_at([Base(lr=1e-3)]), np.array(actions))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("absolute", {}, "unknown action coding 'absolute'"),
        ("moves", {"beta": 1.0}, "settings none"),
        ("residual", {"beta": -1.0}, "beta must be"),
        ("residual", {"notch": 0.0}, "notch must be"),
    ],
)
def test_unknown_names_and_impossible_settings_are_refused(
    name: str, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        action_coding(name, **settings)


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"name": "other"}, {"nvec": [3, 3, 3, 3]}, {"settings": {"beta": "x"}}, {"extra": 1}],
)
def test_a_spec_that_was_changed_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="action"):
        coding_from_spec({**action_coding("moves").spec(), **change})
