import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from olrl.adapters.losses import causal_lm_losses
from olrl.adapters.plain import SteeredLoop
from olrl.adapters.steering import Round, SteeringConfig
from olrl.checkpoint import Checkpoints
from olrl.control.constant import Constant
from olrl.control.decision import Base, Decision
from olrl.control.policy import load_policy
from tests.adapters.readback import (
    BASE,
    CHUNK,
    CONFIG,
    COST,
    DATA,
    SCRIPT,
    UNEVEN,
    Reader,
    Scripted,
    a_model,
    assert_in_force,
    assert_same_signals,
    rows,
    signals_of_the_core,
)
from tests.conformance.subject import exact
from tests.deployed import elsewhere, untrained_policy


def trained(data: Any, *, controller: Any, config: SteeringConfig = CONFIG, poison_step: int = -1) -> Any:
    """A loop as the documentation has it; gives loop, reader and model."""
    model = a_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE.lr)
    reader = Reader(model, data[:, :-1])
    reader.watch(optimizer)
    loop = SteeredLoop(model, optimizer, controller=controller, config=config)
    for k, batch in enumerate(loop.batches(data)):
        optimizer.zero_grad()
        loss = causal_lm_losses(model, batch).mean()
        loop.loss(loss * math.nan if k == poison_step else loss).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    return loop, reader, model


@pytest.mark.usefixtures("global_generators_untouched")
def test_a_decision_holds_from_the_first_to_the_last_update_of_its_round() -> None:
    loop, reader, _ = trained(UNEVEN, controller=Scripted())
    assert_in_force(reader.steps, size=len(UNEVEN))
    assert loop.steering.source.leftover == 2


def test_signals_equal_those_of_our_own_loop() -> None:
    # Single sequences: our own learner takes the noise of larger batches from halves of one.
    script = [Decision(lr=10.0 ** -(2 + k % 2), batch_size=1, window=1 + k % 2) for k in range(4)]
    controller = Scripted(script)
    trained(DATA, controller=controller)
    assert_same_signals(controller.signals, signals_of_the_core(DATA, script=script))


def test_a_step_that_is_not_finite_does_not_happen() -> None:
    data, controller = rows(CHUNK * 4), Scripted()
    _, _, model = trained(data, controller=controller, poison_step=2)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert controller.signals[1].nonfinite == 1
    assert controller.signals[1].updates == COST.updates(3) - 1
    assert controller.signals[1].spent == COST.spent(3)  # it was computed, and costs
    assert all(s.train_loss_nats is None or math.isfinite(s.train_loss_nats) for s in controller.signals)


def test_the_guard_answers_trouble_and_says_so() -> None:
    told: list[Round] = []
    config = SteeringConfig(chunk=CHUNK, cost=COST, on_round=told.append)
    trained(rows(CHUNK * 4), controller=Scripted(), config=config, poison_step=2)
    assert (told[1].guard, told[1].layer) == ("a training step was not finite", "nonfinite")
    assert told[1].decision.lr <= BASE.lr
    assert [one.round for one in told] == [0, 1, 2, 3]


def test_what_a_trained_policy_observes_is_held_against_its_training_range(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy", training_range=elsewhere()))
    told: list[Round] = []
    config = SteeringConfig(chunk=CHUNK, cost=COST, on_round=told.append)
    loop, _, _ = trained(rows(CHUNK * 14), controller=policy.controller(base=BASE), config=config)
    layers = [one.layer for one in told]
    assert "range" not in layers[:11]  # ten rounds to settle, and one outside is no reason
    assert layers[11:] == ["range"] * 3
    assert {one.decision.batch_size for one in told[11:]} == {BASE.batch_size}
    assert loop.steering.guard_counts == Counter(layer for layer in layers if layer is not None)


@pytest.mark.parametrize("task", ["classify", "answer", None])
def test_on_another_task_it_is_held_against_the_range_of_that(task: str | None, tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "policy", training_range=elsewhere()))
    config = SteeringConfig(chunk=CHUNK, cost=COST, task=task)
    loop, _, _ = trained(rows(CHUNK * 14), controller=policy.controller(base=BASE), config=config)
    assert loop.steering.rounds == 14
    assert "range" not in loop.steering.guard_counts


def test_a_task_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="task must be None or one of lm, classify, answer, not 'text'"):
        SteeringConfig(task="text")


def test_without_a_guard_none_is_counted() -> None:
    loop, _, _ = trained(rows(CHUNK * 4), controller=Scripted(), poison_step=2)
    assert loop.steering.guard_counts == {}


def test_a_second_call_goes_on_under_the_decision_in_force() -> None:
    data, controller = rows(CHUNK * 2), Scripted()
    loop, _, _ = trained(data, controller=controller)
    assert next(iter(loop.batches(data))).shape[0] == SCRIPT[3].batch_size  # round 2 skips
    assert controller.signals[2].lr == SCRIPT[1].lr


def test_rows_of_different_lengths_are_refused() -> None:
    loop, _, _ = trained(rows(CHUNK), controller=Scripted())
    with pytest.raises(ValueError, match="rows of 2 and 3 tokens do not stack"):
        next(iter(loop.batches([[1, 2], [1, 2, 3]] * CHUNK)))


def through_the_disk(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A state as it comes back from JSON and safetensors."""
    checkpoints = Checkpoints(folder, kind="a loop of one's own")
    checkpoints.save(state)
    newest = checkpoints.newest()
    assert newest is not None
    assert exact(newest.state) == exact(state)
    return newest.state


@pytest.mark.parametrize("source", ["data set", "stream"])
@pytest.mark.parametrize(
    "steps_left",
    [
        pytest.param((4, 0), id="after a round"),
        pytest.param((1, 2), id="after a round's first step"),
        pytest.param((4, 1), id="within a round"),
    ],
)
def test_it_continues_to_the_bit_after_saving_and_loading(
    steps_left: tuple[int, int], source: str, tmp_path: Path
) -> None:
    whole = Scripted()
    _, _, expected_model = trained(DATA, controller=whole)

    model = a_model()
    controllers = Scripted(), Scripted()
    state: dict[str, Any] = {}
    optimizers = [torch.optim.SGD(model.parameters(), lr=BASE.lr) for _ in controllers]
    for part, (controller, optimizer) in enumerate(zip(controllers, optimizers, strict=True)):
        loop = SteeredLoop(model, optimizer, controller=controller, config=CONFIG)
        taken = state["source"]["taken"] if part else 0
        batches = loop.batches(iter(DATA[taken:]) if source == "stream" else DATA)
        if part:
            loop.steering.load_state_dict(state)
            optimizer.load_state_dict(optimizers[0].state_dict())
        for batch in batches:
            optimizer.zero_grad()
            loop.loss(causal_lm_losses(model, batch).mean()).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            if not part and (loop.steering.rounds, loop.steering.steps_left) == steps_left:
                state = through_the_disk(loop.steering.state_dict(), tmp_path)
                break
        loop.monitor.close()
    assert controllers[0].decisions + controllers[1].decisions == whole.decisions
    assert [exact(vars(one)) for part in controllers for one in part.signals] == [
        exact(vars(one)) for one in whole.signals
    ]
    for mine, theirs in zip(model.parameters(), expected_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_state_of_the_first_format_is_refused_since_it_lacks_the_open_round() -> None:
    loop, _, _ = trained(rows(CHUNK * 2), controller=Scripted())
    state = loop.steering.state_dict()
    del state["monitor"]["format"]
    with pytest.raises(
        ValueError, match=r"state of format 1 cannot be gone on with.*reads format 2: begin anew"
    ):
        loop.steering.load_state_dict(state)


def test_what_cannot_be_set_in_a_loop_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    regularising = load_policy(untrained_policy(tmp_path / "policy", coding="moves-regularised"))
    for controller, told in (
        (regularising.controller(base=Base(lr=1e-3)), "controls weight decay and the pull"),
        (Constant(base=Base(lr=1e-3, pull=0.1)), "base pull 0.1 has no effect here"),
    ):
        with pytest.raises(ValueError, match=told):
            trained(rows(CHUNK * 2), controller=controller)
