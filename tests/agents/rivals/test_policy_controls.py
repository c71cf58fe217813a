"""Controls made from the policy: what each takes away from it, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.agents.evaluation.jobs import StreamRef, run_job
from olrl.agents.ppo.lean import STAY_BIAS, STAYING, UPDATE_BIAS
from olrl.agents.rivals.random_actions import RandomActions
from olrl.agents.rivals.replay import mean_decisions
from olrl.agents.rivals.shuffled import BOOKKEEPING, Shuffled
from olrl.agents.rivals.untrained import untrained
from olrl.control.actions import Moves, action_coding
from olrl.control.coding import Decisions
from olrl.control.constant import Constant
from olrl.control.decision import Base, Decision
from olrl.control.policy import load_policy
from olrl.monitor.signals import Signals
from tests.agents.rivals.runs import BASE, STREAM, job, run
from tests.control.rounds import usual
from tests.deployed import untrained_policy

KNOBS = ("lr", "batch_size", "window")


@pytest.fixture
def lively(tmp_path: Path) -> str:
    """A policy that moves every knob, and trains in about half of the rounds."""
    return str(untrained_policy(tmp_path / "policy", seed=9))


@pytest.mark.parametrize(
    ("name", "free"), [("lr-only", "lr"), ("window-only", "window"), ("batch-only", "batch_size")]
)
def test_one_knob_moves_and_the_others_stay_at_the_base(name: str, free: str, lively: str) -> None:
    whole, trace = run("policy", rounds=12, policy=lively), run(name, rounds=12, policy=lively)
    assert all(len(set(getattr(whole, knob))) > 1 for knob in KNOBS)
    assert all(set(getattr(trace, knob)) == {getattr(BASE, knob)} for knob in KNOBS if knob != free)
    assert len(set(getattr(trace, free))) > 1
    assert all(trace.update)
    assert getattr(trace, free)[0] == getattr(whole, free)[0]  # the first decision is the policy's


def test_replay_decides_the_same_on_any_stream_and_charges_the_plays_it_is_made_from(lively: str) -> None:
    here = job("replay", rounds=8, policy=lively)
    assert STREAM.drift is not None
    there = replace(here, stream=StreamRef(name="other", kind="abrupt", drift=replace(STREAM.drift, seed=4)))
    one, other = run_job(here), run_job(there)
    assert (one.lr, one.batch_size, one.window, one.update) == (
        other.lr, other.batch_size, other.window, other.update,
    )  # fmt: skip
    assert one.loss_bpb != other.loss_bpb
    assert len(set(one.lr)) > 2
    assert one.trial_examples == other.trial_examples > 0
    assert one.extra_spent == other.extra_spent > 0


def test_means_are_taken_on_the_ladders_and_of_logarithms() -> None:
    one = run("base", rounds=3)
    other = run("base", rounds=3, base=type(BASE)(lr=4 * BASE.lr, batch_size=16, window=16))
    decisions = mean_decisions([one, other], base=BASE)
    assert len(decisions) == 3
    assert decisions[0] == Decision(lr=pytest.approx(2 * BASE.lr), batch_size=8, window=8)  # type: ignore[arg-type] # approximate
    assert not mean_decisions([run("never", rounds=3), run("never", rounds=3)], base=BASE)[0].update


def test_random_actions_use_every_knob_and_skip_half(lively: str) -> None:
    trace = run("random", rounds=35, policy=lively)
    assert all(len(set(getattr(trace, knob))) > 2 for knob in KNOBS)
    assert 8 <= sum(trace.update) <= 27


def test_random_actions_choose_every_action_of_a_head_equally_often() -> None:
    coding = action_coding("moves")
    controller = RandomActions(base=Base(lr=1.0), coding=coding, seed=1)
    seen: list[NDArray[np.int64]] = []

    def note(state: object, actions: NDArray[np.int64], signals: object = None) -> Decisions:
        seen.append(actions[0])
        return Moves.apply(coding, coding.start_at([BASE]), actions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coding, "apply", note)
        for k in range(3000):
            controller.decide(usual(k))
    for head, choices in zip(np.stack(seen).T, coding.nvec, strict=True):
        np.testing.assert_allclose(np.bincount(head) / 3000, np.full(choices, 1 / choices), atol=0.03)


def test_unpriced_is_the_policy_at_no_price_though_the_run_has_one(lively: str) -> None:
    priced = replace(job("unpriced", rounds=12, policy=lively), price=0.5)
    free = job("policy", rounds=12, policy=lively)
    assert run_job(priced).loss_bpb == run_job(free).loss_bpb
    assert run_job(replace(free, price=0.5)).loss_bpb != run_job(free).loss_bpb


def test_untrained_has_the_shape_of_the_policy_and_stays() -> None:
    policy = load_policy("default")
    one, other = untrained(policy, seed=0), untrained(policy, seed=1)
    assert [w.shape for w, _ in one.layers] == [w.shape for w, _ in policy.layers]
    weight = one.layers[1][0].astype(np.float64)
    np.testing.assert_allclose(weight @ weight.T, 2 * np.eye(len(weight)), atol=1e-5)
    staying = [stay for stay in STAYING[policy.coding.name] if stay is not None]
    bias = [
        STAY_BIAS * (choice == stay)
        for stay, choices in zip(staying, policy.coding.nvec[:3], strict=True)
        for choice in range(choices)
    ]
    assert one.layers[-1][1].tolist() == [*bias, 0, UPDATE_BIAS]
    assert (one.layers[0][0] != other.layers[0][0]).any()
    seen = np.random.default_rng(0).standard_normal((50, len(policy.mean)))
    assert (one.act(seen) == [*staying, 1]).all()


class Ear(Constant):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(base=BASE)
        self.heard: list[Signals] = []

    def decide(self, signals: Signals) -> Decision:
        self.heard.append(signals)
        return super().decide(signals)


def test_shuffled_tells_measurements_of_the_past_and_the_truth_about_itself() -> None:
    ear = Ear()
    controller = Shuffled(ear, seed=0)
    given = [usual(k) for k in range(60)]
    for signals in given:
        controller.decide(signals)
    for k, heard in enumerate(ear.heard):
        assert {getattr(heard, name) for name in BOOKKEEPING} == {
            getattr(given[k], name) for name in BOOKKEEPING
        }
        assert heard.loss_nats in [signals.loss_nats for signals in given[: k + 1]]
    moved = [heard.loss_nats != signals.loss_nats for heard, signals in zip(ear.heard, given, strict=True)]
    assert sum(moved) > 40
