from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from olrl.agents.evaluation.jobs import run_job, task_of
from olrl.agents.rivals.constants import base_at, constants_around, places_of_base
from olrl.agents.rivals.held import Held
from olrl.agents.rivals.space import ZeroOrLog
from olrl.agents.search.outcome import play_after_prefix
from olrl.agents.search.trial import Trial, _loss_bpb, best_trial, play_trial
from olrl.control.decision import Base
from tests.agents.rivals.runs import BASE, job


def trial(base: Base, **given: object) -> Trial:
    return play_trial(task_of(job("base"), judged=False), base, number=0, places={}, **given)  # type: ignore[arg-type]


def test_a_trial_is_the_run_that_a_comparison_makes() -> None:
    run, tried = run_job(job("base")), trial(BASE)
    assert tried.loss_bpb == run.mean_loss_bpb
    assert (tried.spent, tried.examples, tried.rounds) == (run.total_spent, run.examples, 6)
    assert tried.state == "complete"


def test_runs_on_rows_of_another_length_leave_the_model_as_it_is() -> None:
    longer = replace(job("base"), seq_len=72)
    before = trial(BASE)
    some, others = (
        task_of(each, judged=False).learners.fresh().state_dict()["values"] for each in (longer, job("base"))
    )
    assert np.array_equal(some, others)
    assert trial(BASE).loss_bpb == before.loss_bpb


def test_weight_decay_is_really_applied() -> None:
    decayed, plain = trial(replace(BASE, lr=0.01, weight_decay=1.0)), trial(replace(BASE, lr=0.01))
    assert decayed.loss_bpb != plain.loss_bpb
    weights = []
    for decay in (0.0, 1.0):
        base = Base(lr=0.01, weight_decay=decay)
        rollout = task_of(job("base"), judged=False).rollout(base=base)
        rollout.round(Held(base=base))
        weights.append(np.asarray(rollout.snapshot()["loop"]["learner"]["values"]))
    assert np.linalg.norm(weights[1]) < 0.99 * np.linalg.norm(weights[0])


def test_a_trial_that_is_not_to_go_on_stops_there_and_says_so() -> None:
    stopped = trial(BASE, keep_going=lambda so_far: so_far.rounds < 3)
    assert (stopped.state, stopped.rounds) == ("pruned", 3)
    assert stopped.spent < trial(BASE).spent
    assert sorted(stopped.losses) == [1, 2, 3]


def test_after_the_prefix_what_was_found_is_in_force_and_before_it_the_base() -> None:
    found = replace(BASE, lr=4 * BASE.lr, batch_size=1, weight_decay=0.1)
    trace, base = play_after_prefix(job("base"), base=BASE, found=found, prefix=3), run_job(job("base"))
    assert trace.loss_bpb[:4] == base.loss_bpb[:4] != trace.loss_bpb[2:6]
    assert trace.batch_size == (4, 4, 4, 1, 1, 1)
    assert trace.loss_bpb[4:] != base.loss_bpb[4:]


def test_what_a_diverged_run_did_not_play_counts_as_the_uniform_predictor() -> None:
    chunks = [SimpleNamespace(n_bytes=np.array([5, 5]), per_byte=True) for _ in range(4)]
    run = SimpleNamespace(loss_bpb=(3.0, 2.0, 8.0), n_bytes=(10, 10, 10), diverged=True)
    lost = _loss_bpb(run, SimpleNamespace(chunks=chunks))  # type: ignore[arg-type]
    assert lost == pytest.approx((2 + 8 + 8) / 3)
    whole = SimpleNamespace(diverged=False, mean_loss_bpb=2.5)
    assert _loss_bpb(whole, SimpleNamespace(chunks=chunks)) == 2.5  # type: ignore[arg-type]


def test_of_a_classifier_labels_count_and_not_the_bytes_of_their_texts() -> None:
    chunks = [SimpleNamespace(n_bytes=np.array([500, 90]), per_byte=False, tokens=np.zeros((2, 9)))] * 4
    run = SimpleNamespace(loss_bpb=(1.5, 1.0, 8.0), n_bytes=(2, 2, 2), diverged=True)
    lost = _loss_bpb(run, SimpleNamespace(chunks=chunks))  # type: ignore[arg-type]
    assert lost == pytest.approx((1 + 8 + 8) / 3)


def test_the_best_was_played_to_the_end() -> None:
    whole = trial(BASE)
    early = replace(whole, number=1, state="pruned", loss_bpb=whole.loss_bpb / 2)
    equal = replace(whole, number=2)
    assert best_trial([whole, early, equal]).number == 0


@pytest.mark.parametrize("base", [BASE, Base(lr=3e-4, batch_size=64, window=0, weight_decay=0.03)])
def test_a_configuration_lies_where_its_places_say(base: Base) -> None:
    space = constants_around(BASE, reach=64)
    assert base_at(space, places_of_base(space, base)) == base


def test_corners_of_the_space_are_within_reach_and_a_batch_off_the_ladder_has_a_place() -> None:
    space = constants_around(BASE, reach=8)
    low, high = (base_at(space, dict.fromkeys(space, place)) for place in (0.0, 1.0))
    assert (low.lr, low.batch_size, low.window, low.weight_decay) == (BASE.lr / 8, 1, 1, 0.0)
    assert (high.lr, high.batch_size, high.window, high.weight_decay) == (BASE.lr * 8, 64, 0, 1.0)
    assert base_at(space, places_of_base(space, replace(BASE, batch_size=6))).batch_size == 4
    with pytest.raises(ValueError, match="zero"):
        ZeroOrLog(low=0.1, high=1.0, zero=1.0)
