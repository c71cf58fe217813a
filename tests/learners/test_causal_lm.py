import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.agents.rivals.prodigy import prodigy
from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.network import Network
from olrl.learners.optimizer import OptimizerConfig
from olrl.models.byte_level import ByteModelShape, build_model

TINY = ByteModelShape(width=16, layers=1, heads=2, mlp=32)


def learner(seed: int = 0, **kwargs: object) -> CausalLMLearner:
    return CausalLMLearner(build_model(TINY, seed=seed), **kwargs)  # type: ignore[arg-type] # forwarded


def rows(n: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(1, 256, (n, 9)).astype(np.int32)


def decision(lr: float = 1e-2, batch_size: int = 4) -> Decision:
    return Decision(lr=lr, batch_size=batch_size, window=1)


def test_score_is_the_mean_over_predicted_tokens_not_one_too_few() -> None:
    model = build_model(TINY, seed=0)
    tokens = rows(3)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens[:, :-1].astype(np.int64))).logits
    log_p = torch.log_softmax(logits, dim=-1).numpy()
    by_hand = [-np.mean([log_p[i, t, tokens[i, t + 1]] for t in range(8)]) for i in range(3)]
    assert CausalLMLearner(model).score(tokens) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_flat_step_equals_a_plain_torch_loop(name: str) -> None:
    mine = learner(optimizer=OptimizerConfig(name=name))  # type: ignore[arg-type] # one of the two
    theirs = build_model(TINY, seed=0)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.SGD
    optimizer = kind(theirs.parameters(), lr=1e-2, weight_decay=0.0)
    batches = [rows(4, seed=k) for k in range(3)]
    mine.update(iter(batches), decision())
    for batch in batches:
        tokens = torch.from_numpy(batch.astype(np.int64))
        logits = theirs(input_ids=tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    for a, b in zip(mine.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_accumulation_over_passes_equals_one_pass() -> None:
    one, many = learner(), learner(pass_size=3)
    batch = rows(8)
    assert one.score(batch) == pytest.approx(many.score(batch), rel=1e-6)
    a, b = (each.update(iter([batch]), decision()) for each in (one, many))
    assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-5)
    assert a.grad_snr == pytest.approx(b.grad_snr, rel=1e-3)


class PoisonedBy77(Network):
    """Stands for weights that overflow on some text."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def losses(self, weights: Tensor, tokens: Tensor) -> Tensor:
        return self._network.losses(weights, tokens)

    def add_gradients(self, weights: Tensor, tokens: Tensor, *, to: Tensor, scale: Tensor) -> Tensor:
        losses = self._network.add_gradients(weights, tokens, to=to, scale=scale)
        return losses * (math.nan if tokens[0, 0, 0] == 77 else 1.0)


def test_a_poisoned_batch_is_skipped_counted_and_leaves_no_trace() -> None:
    poisoned, clean = learner(), learner()
    good = [rows(4, seed=k) for k in range(3)]
    poisoned._network = PoisonedBy77(poisoned._network)
    bad = good[0].copy()
    bad[0, 0] = 77
    report = poisoned.update(iter([good[0], bad, *good[1:]]), decision())
    expected = clean.update(iter(good), decision())
    assert (report.updates, report.nonfinite) == (3, 1)
    assert report.train_loss_nats == expected.train_loss_nats
    for name, array in clean.state_dict().items():
        np.testing.assert_array_equal(array, poisoned.state_dict()[name])


def test_snr_matches_its_definition_from_two_half_gradients() -> None:
    batch = rows(4)
    measured = learner().update(iter([batch]), decision()).grad_snr

    def gradient(part: NDArray[np.int32]) -> NDArray[np.float64]:
        one = learner()
        one._backward(part, keep_half=False)
        return one.flat.grads.numpy().astype(np.float64)

    a, b = gradient(batch[:2]), gradient(batch[2:])
    assert measured == pytest.approx((a @ b) / (((a - b) ** 2).sum() / (1 / 2 + 1 / 2)), rel=1e-3)


def test_cosine_is_of_minus_the_first_gradient_with_the_round_before() -> None:
    one = learner()
    start = one.state_dict()["values"].astype(np.float64)
    one.update(iter([rows(4, seed=0), rows(4, seed=1)]), decision())
    move = one.state_dict()["values"] - start
    one._backward(rows(4, seed=2), keep_half=False)
    gradient = one.flat.grads.numpy().astype(np.float64)
    expected = -(gradient @ move) / (np.linalg.norm(gradient) * np.linalg.norm(move))
    measured = one.update(iter([rows(4, seed=2), rows(4, seed=3)]), decision()).grad_cos
    assert measured == pytest.approx(expected, rel=1e-4)


def test_first_round_has_no_cosine_and_a_batch_of_one_still_has_an_snr() -> None:
    one = learner()
    first = one.update(iter([rows(1, seed=0), rows(1, seed=1)]), decision(batch_size=1))
    assert first.grad_cos is None
    assert first.grad_snr is not None
    assert one.update(iter([rows(1)]), decision(batch_size=1)).grad_snr is None


def test_weights_that_cannot_be_flattened_are_refused_in_a_sentence() -> None:
    model = build_model(TINY, seed=0)
    model.model.norm.to(torch.float64)
    with pytest.raises(ValueError, match="share one dtype"):
        CausalLMLearner(model)


def test_state_of_another_model_is_refused() -> None:
    other = CausalLMLearner(build_model(ByteModelShape(width=8, layers=1, heads=2, mlp=16), seed=0))
    with pytest.raises(ValueError, match="weights"):
        learner().load_state_dict(other.state_dict())


def test_training_learns_a_repeated_text(global_generators_untouched: None) -> None:
    one = learner()
    batch = np.tile(np.arange(65, 74, dtype=np.int32), (4, 1))
    before = one.score(batch).mean()
    one.update(iter([batch] * 30), decision())
    assert one.score(batch).mean() < before / 4


def test_an_optimizer_of_ones_own_is_stepped_as_in_a_plain_torch_loop() -> None:
    mine = learner(optimizer=lambda values: torch.optim.NAdam([values]))
    theirs = build_model(TINY, seed=0)
    optimizer = torch.optim.NAdam(theirs.parameters(), lr=1e-2)
    batches = [rows(4, seed=k) for k in range(3)]
    report = mine.update(iter(batches), decision())
    assert report.updates == 3
    for batch in batches:
        tokens = torch.from_numpy(batch.astype(np.int64))
        logits = theirs(input_ids=tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    for a, b in zip(mine.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_what_an_optimizer_of_ones_own_has_estimated_is_forgotten_with_the_rest() -> None:
    one = learner(optimizer=prodigy)
    fresh = {"values": one.state_dict()["values"]}
    first = vars(one.update(iter([rows(4)] * 9), decision()))
    one.load_state_dict(fresh)
    assert one.state_dict()["group/d"] == 1e-6
    assert vars(one.update(iter([rows(4)] * 9), decision())) == first


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_pull_takes_rate_times_pull_off_the_distance_from_the_initial_weights(decay: float) -> None:
    """Decoupled from the gradient, as AdamW's decay is: with no gradient nothing else moves a weight."""
    mine = learner()
    start = mine.flat.values.detach().clone()
    with torch.no_grad():
        mine.flat.values.add_(1.0)
    mine.flat.grads.zero_()
    mine.step(replace(decision(lr=0.1), pull=2.0, weight_decay=decay))
    expected = (start + (1 - 0.1 * 2.0)) * (1 - 0.1 * decay)
    torch.testing.assert_close(mine.flat.values.detach(), expected, rtol=1e-6, atol=1e-6)


def test_a_pull_is_refused_for_an_optimizer_made_elsewhere() -> None:
    mine = learner(optimizer=prodigy)
    with pytest.raises(ValueError, match="works with the optimizers of olrl"):
        mine.update(iter([rows(4)]), replace(decision(), pull=0.1))
