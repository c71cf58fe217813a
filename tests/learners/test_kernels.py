"""Compiled loops beside the same formulas in torch."""

import numpy as np
import pytest
import torch
from torch import Tensor

from olrl.learners.compiled_log_bilinear_network import CompiledLogBilinearNetwork
from olrl.learners.log_bilinear_network import LogBilinearNetwork
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.stacked_optimizer import Moments, StackedOptimizer
from olrl.models.log_bilinear import LogBilinearConfig, LogBilinearForCausalLM


def drawn(n: int, *, context: int, length: int, spread: float) -> tuple[Tensor, Tensor]:
    """Random weights of n learners, and three sequences of tokens for each."""
    generator = torch.Generator().manual_seed(length)
    size = sum(p.numel() for p in LogBilinearForCausalLM(LogBilinearConfig(context=context)).parameters())
    weights = spread * torch.randn(n, size, generator=generator)
    return weights, torch.randint(256, (n, 3, length + 1), generator=generator)


@pytest.mark.parametrize("context", [1, 3, 6])
@pytest.mark.parametrize("length", [1, 5, 64, 150])  # less and more than the tokens of a tile
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_losses_and_gradients_are_those_of_the_formulas_in_torch(
    context: int, length: int, spread: float
) -> None:
    config = LogBilinearConfig(context=context)
    compiled, formulas = CompiledLogBilinearNetwork(config), LogBilinearNetwork(config)
    weights, tokens = drawn(2, context=context, length=length, spread=spread)
    scale = torch.tensor([[0.5, 0.0, 0.25], [1.0, 0.1, 0.0]])
    found, expected = torch.full_like(weights, 0.5), torch.full_like(weights, 0.5)
    losses = compiled.add_gradients(weights, tokens, to=found, scale=scale)
    reference = formulas.add_gradients(weights, tokens, to=expected, scale=scale)
    torch.testing.assert_close(losses, reference, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(compiled.losses(weights, tokens), losses)


def test_extreme_logits_give_the_losses_of_torch() -> None:
    """Far beyond what e^x holds in float32: largest logits are subtracted, rare bytes cost their distance."""
    config = LogBilinearConfig()
    weights, tokens = drawn(2, context=6, length=64, spread=10.0)
    expected = LogBilinearNetwork(config).losses(weights, tokens)
    assert expected.min() > 200
    found = CompiledLogBilinearNetwork(config).losses(weights, tokens)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    gradients = torch.zeros_like(weights), torch.zeros_like(weights)
    for network, to in zip((CompiledLogBilinearNetwork, LogBilinearNetwork), gradients, strict=True):
        network(config).add_gradients(weights, tokens, to=to, scale=torch.ones(2, 3))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 6 * 256 * 16, -1], ids=["context", "high", "high bias"])
def test_a_weight_that_is_not_finite_gives_a_loss_that_is_not(poison: float, place: int) -> None:
    network = CompiledLogBilinearNetwork(LogBilinearConfig())
    weights, tokens = drawn(2, context=6, length=64, spread=0.1)
    tokens[:, :, -1] = 255  # high half 15, whose bias is the last weight
    sound = network.losses(weights, tokens)
    weights[0, place] = poison  # of byte 0 in the farthest place: what stands before a text
    losses = network.losses(weights, tokens)
    assert not losses[0].isfinite().any()
    assert torch.equal(losses[1], sound[1])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_torchs(decay: float) -> None:
    """Rates and steps of each learner's own; where nothing ever moved, only the decay does."""
    n, size, generator = 3, 1000, torch.Generator().manual_seed(0)
    values = torch.randn(n, size, generator=generator)
    lr, decays = torch.tensor([[0.1], [0.01], [0.0]]), torch.tensor([[decay], [0.0], [decay]])
    config = OptimizerConfig(betas=(0.8, 0.95), eps=1e-6)
    singles = [row.clone() for row in values]
    theirs = [
        torch.optim.AdamW([row], lr=float(a), betas=config.betas, eps=config.eps, weight_decay=float(b))
        for row, a, b in zip(singles, lr, decays, strict=True)
    ]
    moments = Moments.zeros(values)
    for step in range(20):
        gradients = torch.randn(n, size, generator=generator)
        gradients[:, 300:700] = 0.0 if step < 10 else gradients[:, 300:700]
        first = 1 if step == 0 else 0  # one learner is a step behind
        for row, optimizer, gradient in list(zip(singles, theirs, gradients, strict=True))[first:]:
            row.grad = gradient.clone()
            optimizer.step()
        given = gradients[first:]
        StackedOptimizer(config).step(
            values[first:], given, moments.view(slice(first, None)), lr[first:], decays[first:]
        )
        assert not given.any()
    torch.testing.assert_close(values, torch.stack(singles), rtol=1e-5, atol=1e-6)


def test_adamw_does_not_pass_over_what_is_not_a_number() -> None:
    values, gradients = torch.ones(1, 300), torch.zeros(1, 300)
    gradients[0, 200] = torch.nan
    moments = Moments.zeros(values)
    StackedOptimizer(OptimizerConfig()).step(
        values, gradients, moments, torch.full((1, 1), 0.1), torch.zeros(1, 1)
    )
    np.testing.assert_array_equal(np.flatnonzero(values[0].isnan()), [200])
