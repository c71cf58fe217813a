"""Faults in a real small model's loop: what the guard, the snapshots and the budgets make of them together."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.guard import Budgets, Guard, GuardSettings, Limits
from olrl.control.policy import load_policy
from olrl.control.registry import make_controller
from olrl.deployment import Deployment, Outcome
from olrl.interrupt import Interrupt
from olrl.learners.causal_lm import CausalLMLearner
from olrl.models.load import load_model
from olrl.streams.chunk import Chunk
from tests.deployed import elsewhere, untrained_policy

CONFIG = LoopConfig(chunk=4, seq_len=16)


def chunks(rounds: int = 40) -> Iterator[Chunk]:
    text = np.frombuffer(b"The loop goes on, and on, while nothing breaks. " * 4, dtype=np.uint8)
    for k in range(rounds):
        tokens = np.stack([text[(k + i) % 90 :][: CONFIG.seq_len + 1] for i in range(CONFIG.chunk)])
        yield Chunk(tokens=tokens.astype(np.int32), n_bytes=np.full(CONFIG.chunk, CONFIG.seq_len, np.int32))


class Faulty(CausalLMLearner):
    """A learner whose weights become NaN in the training of the rounds named."""

    def __init__(self, *breaks: int) -> None:
        super().__init__(load_model("femto").model)
        self.breaks, self.round = breaks, 0

    def update(self, *given: Any) -> Any:
        report = super().update(*given)
        if self.round in self.breaks:
            self.flat.values.data.fill_(math.nan)
        self.round += 1
        return report


BASE = Base(lr=1e-3, batch_size=4, window=4)


def deployment(
    learner: CausalLMLearner,
    *,
    limits: Limits | None = None,
    controller: Controller | None = None,
    **settings: Any,
) -> Deployment:
    torch.manual_seed(0)
    controller = controller or make_controller("base", base=BASE)
    return Deployment(
        assemble_loop(chunks(), learner, base=BASE, config=CONFIG),
        controller=controller,
        guard=Guard(
            base=BASE,
            settings=GuardSettings(**settings),
            training_range=controller.training_range,
            task="lm",
        ),
        interrupt=Interrupt(),
        budgets=Budgets(limits),
    )


def losses(outcomes: list[Outcome]) -> list[float]:
    return [math.nan if o.record.loss_nats is None else o.record.loss_nats for o in outcomes]


def test_broken_weights_cost_one_round_and_the_rate_is_at_most_half_after_it() -> None:
    outcomes = list(deployment(Faulty(20)).rounds())
    mine = losses(outcomes)
    assert [k for k, loss in enumerate(mine) if math.isnan(loss)] == [21]
    assert outcomes[21].layer == "rollback"
    assert outcomes[21].guard == "loss not finite: weights rolled back"
    assert outcomes[21].record.decision.lr <= outcomes[20].record.decision.lr / 2
    undisturbed = losses(list(deployment(Faulty()).rounds()))
    assert mine[22] < 1.3 * undisturbed[22]  # of weights a few rounds old, that are back
    assert mine[39] < mine[0] / 2  # it learns on, under the ceiling


def test_what_a_trained_policy_observes_is_held_against_its_training_range(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy", training_range=elsewhere()))
    outcomes = list(deployment(Faulty(), controller=policy.controller(base=BASE)).rounds())
    layers = [outcome.layer for outcome in outcomes]
    assert "range" not in layers[:11]  # ten rounds to settle, and one outside is no reason
    assert set(layers[11:]) == {"range"}
    assert {outcome.record.decision.batch_size for outcome in outcomes[11:]} == {BASE.batch_size}


def test_the_passes_over_the_chunk_under_the_last_good_weights_are_counted() -> None:
    outcomes = list(deployment(Faulty(20)).rounds())
    usual, asked = (outcomes[k].record for k in (20, 21))
    assert asked.signal_examples == usual.signal_examples + 3 * CONFIG.chunk  # three are kept


def test_weights_that_the_very_last_round_broke_are_put_back() -> None:
    run = deployment(learner := Faulty(39))
    assert len(list(run.rounds())) == 40
    assert np.isfinite(learner.state_dict()["values"]).all()
    assert run.ended == "the stream ended; the weights that its last round broke were put back"


def test_without_snapshots_nothing_is_rolled_back_and_nothing_fails() -> None:
    run = deployment(Faulty(20), snapshots=0)
    outcomes = list(run.rounds())
    assert all(math.isnan(loss) for loss in losses(outcomes)[21:])
    assert run.budgets.spent["rollbacks"] == 0
    assert run.budgets.spent["skips"] == 19  # nothing is trained while the loss is not finite


def test_budgets_count_every_token_that_passed_through_the_model_and_every_rollback() -> None:
    run = deployment(Faulty(5, 30))
    records = [outcome.record for outcome in run.rounds()]
    examples = sum(4 + r.signal_examples + r.report.examples for r in records)
    assert run.budgets.spent == {"tokens": 16 * examples, "rollbacks": 2, "skips": 0}


@pytest.mark.parametrize(("rollbacks", "rounds"), [(0, 7), (1, 32), (2, 40)])
def test_one_rollback_more_than_allowed_ends_the_run_with_good_weights(rollbacks: int, rounds: int) -> None:
    run = deployment(learner := Faulty(5, 30), limits=Limits(rollbacks=rollbacks))
    assert len(list(run.rounds())) == rounds
    assert ("did not suffice" in run.ended) == (rollbacks < 2)
    assert np.isfinite(learner.state_dict()["values"]).all()
