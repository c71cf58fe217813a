import gc
import math
import weakref
from typing import Any

import pytest
import torch

import olrl
from olrl.adapters.losses import causal_lm_losses
from olrl.adapters.monitor import Monitor
from olrl.control.decision import Base, Decision
from tests.adapters.readback import a_model, rows


def batch(count: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(rows(count, seed=seed))


def test_a_monitor_that_knows_nothing_gives_signals_that_a_policy_can_decide_on() -> None:
    monitor = olrl.Monitor(a_model())
    base = Base(lr=3e-4, batch_size=16, window=8)
    controller = olrl.load_policy("default").controller(base=base)
    decision = controller.decide(monitor.signals())
    octaves = math.log2(decision.lr / base.lr)
    assert abs(octaves) <= 2  # one move from the base: that is what was in force


def test_what_is_in_force_is_unknown_or_what_was_applied() -> None:
    monitor = Monitor(a_model())
    signals = monitor.signals()
    assert (signals.lr, signals.batch_size, signals.window) == (None, None, None)
    assert signals.nonfinite == 0  # nothing was scored: that is missing, not trouble
    monitor.apply(Decision(lr=0.5, batch_size=2, window=4))
    signals = monitor.signals()
    assert (signals.lr, signals.batch_size, signals.window) == (0.5, 2, 4)


def test_an_optimizer_nobody_told_of_is_found_at_its_first_step_and_anothers_is_not() -> None:
    model, other = a_model(), torch.nn.Linear(2, 1)
    monitor = Monitor(model)
    for trained, loss in (
        (other, other(torch.ones(2)).sum()),
        (model, causal_lm_losses(model, batch()).mean()),
    ):
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.25)
        loss.backward()
        optimizer.step()
    signals = monitor.signals()
    assert signals.updates == 1
    assert signals.lr == 0.25
    assert signals.grad_norm is not None
    monitor.apply(Decision(lr=0.125, batch_size=2, window=4))
    assert optimizer.param_groups[0]["lr"] == 0.125


def test_a_hook_does_not_keep_a_monitor_alive() -> None:
    model = a_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    gone = [weakref.ref(Monitor(model)), weakref.ref(Monitor(model, optimizer))]
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    optimizer.step()


def test_groups_keep_the_proportions_of_their_rates_and_decay_stays_where_it_was() -> None:
    model = a_model()
    one, *rest = model.parameters()
    optimizer = torch.optim.AdamW(
        [{"params": [one], "lr": 0.1, "weight_decay": 0.0}, {"params": rest, "lr": 0.02, "weight_decay": 0.3}]
    )
    monitor = Monitor(model, optimizer)
    monitor.apply(Decision(lr=0.4, batch_size=1, window=1, weight_decay=0.05))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.08])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.05]


@pytest.mark.usefixtures("global_generators_untouched")
def test_scoring_changes_neither_weights_nor_gradients_nor_modes() -> None:
    model = a_model().train()
    model.lm_head.eval()
    modes = [module.training for module in model.modules()]
    monitor = Monitor(model)
    monitor.score(batch(), batch(2, seed=1))
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


def test_losses_of_collated_batches_count_only_what_is_predicted() -> None:
    model, tokens = a_model(), batch(4)
    labels = tokens.clone()
    labels[:, :5] = -100
    labels[3] = -100  # nothing of it is predicted
    found = causal_lm_losses(model, {"input_ids": tokens, "labels": labels})
    assert found.tokens.tolist() == [7, 7, 7, 0]
    logs = torch.log_softmax(model(input_ids=tokens).logits.detach(), dim=2)
    by_hand = -sum(float(logs[0, t - 1, tokens[0, t]]) for t in range(5, 12))
    assert float(found.sums[0].detach()) == pytest.approx(by_hand, rel=1e-5)
    monitor = Monitor(model)
    loss = monitor.score({"input_ids": tokens, "labels": labels})
    assert loss == pytest.approx(float(found.sums.detach().sum()) / 21, rel=1e-5)


def test_bits_a_byte_need_to_be_told_the_bytes() -> None:
    monitor = Monitor(a_model())
    loss = monitor.score(batch(), n_bytes=132)  # two bytes a token
    assert loss is not None
    assert monitor.signals().loss_bpb == pytest.approx(loss / math.log(2) / 2)
    monitor.score(batch())
    assert monitor.signals().loss_bpb is None


def test_without_gradient_signals_no_copy_of_the_weights_is_made() -> None:
    model = a_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = Monitor(model, optimizer, gradients=False)
    causal_lm_losses(model, batch()).mean().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    optimizer.step()
    signals = monitor.signals()
    assert (signals.updates, signals.grad_norm, signals.update_ratio) == (1, None, None)
    assert monitor._meter is None


def test_a_batch_that_cannot_be_scored_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="give losses= for batches of your own kind"):
        Monitor(a_model()).score({"text": ["a"]})
    nothing: Any = torch.nn.Linear(1, 1)
    nothing.requires_grad_(False)
    with pytest.raises(ValueError, match="none of the model's weights is trainable"):
        Monitor(nothing).before_step(1)
