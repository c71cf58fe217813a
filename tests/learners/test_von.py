"""The posterior against ones that are known, and steps against those of the papers written out."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from olrl.learners.von import VON

MEMORY, PRIOR = 50.0, 0.1


def settled(a: Tensor, b: Tensor, *, steps: int, forgetting: float | None = None, pull: bool = False) -> VON:
    """Trained on the loss ½ wᵀ A w − bᵀ w at a falling rate; without `forgetting` that falls as 1/t."""
    weights = torch.nn.Parameter(torch.full_like(b, 0.5))
    towards_start, towards_zero = (PRIOR, 0.0) if pull else (0.0, PRIOR)
    optimizer = VON(
        [weights],
        memory=MEMORY,
        curvature=1.0,
        floor=0.0,
        beta=0.0,
        pull=towards_start,
        weight_decay=towards_zero,
    )
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.3 * 1e-4 ** (k / steps)
            group["forgetting"] = forgetting or 0.3 / (1 + k / 20)
        optimizer.train()
        weights.grad = a @ weights.detach() - b
        optimizer.step()
    optimizer.eval()
    return optimizer


def posterior(optimizer: VON) -> tuple[Tensor, Tensor]:
    [weights] = optimizer.param_groups[0]["params"]
    return weights.detach(), optimizer.deviations(weights).detach() ** 2


def test_on_an_orthogonal_design_mean_and_variance_are_the_exact_posteriors() -> None:
    """50 observations y = x·w + N(0, 1) with orthogonal columns and a prior N(0, 1/(50 · 0.1)).

    By hand: precision Λ = xᵀx + 50 · 0.1, variance 1/Λ, mean xᵀy/Λ, for each weight by itself.
    """
    rng = np.random.default_rng(3)
    columns, _ = np.linalg.qr(rng.standard_normal((50, 3)))
    design = columns * np.sqrt([200.0, 50.0, 12.5])  # squared lengths of the columns
    observed = design @ [1.0, -2.0, 0.5] + rng.standard_normal(50)
    precision = np.array([200.0, 50.0, 12.5]) + MEMORY * PRIOR
    mean = design.T @ observed / precision
    found, variance = posterior(
        settled(
            torch.from_numpy(design.T @ design / 50),
            torch.from_numpy(design.T @ observed / 50),
            steps=600,
            forgetting=0.2,
        )
    )
    np.testing.assert_allclose(found, mean, rtol=1e-3)
    np.testing.assert_allclose(variance, 1 / precision, rtol=1e-3)


def test_on_a_correlated_design_it_is_the_mean_field_optimum_not_the_marginal() -> None:
    """The product of Gaussians nearest to a Gaussian has its mean, and the inverse of its precision's diagonal."""
    a = torch.tensor([[2.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -1.0], dtype=torch.float64)
    whole = MEMORY * (a + PRIOR * torch.eye(2))
    found, variance = posterior(settled(a, b, steps=2000))
    np.testing.assert_allclose(found, torch.linalg.solve(whole, MEMORY * b), rtol=1e-3)
    np.testing.assert_allclose(variance, 1 / whole.diagonal(), rtol=0.02)
    marginal = torch.linalg.inv(whole).diagonal()
    assert float((variance / marginal - 1).abs().min()) > 0.2  # so that the two can be told apart


def test_a_pull_is_a_prior_around_the_initial_weights() -> None:
    """With curvature 1 and a prior precision of 0.1 around 0.5, the mean is (b + 0.05) / 1.1."""
    b = torch.tensor([1.0, -1.0], dtype=torch.float64)
    found, variance = posterior(
        settled(torch.eye(2, dtype=torch.float64), b, steps=600, forgetting=0.2, pull=True)
    )
    np.testing.assert_allclose(found, (b + 0.05) / 1.1, rtol=1e-3)
    np.testing.assert_allclose(variance, np.full(2, 1 / (MEMORY * 1.1)), rtol=1e-3)


def test_gaussian_draws_find_the_mean_field_optimum_of_a_loss_that_is_not_quadratic() -> None:
    """Loss w⁴/4 − w: the optimum solves m³ + 3 m σ² = 1 and 3 (m² + σ²) = s, with σ² = 1 / (memory · s)."""
    mean, s = 1.0, 3.0
    for _ in range(200):
        variance = 1 / (10 * s)
        mean -= (mean**3 + 3 * mean * variance - 1) / (3 * (mean**2 + variance))
        s = 3 * (mean**2 + variance)
    weight = torch.nn.Parameter(torch.tensor([0.8], dtype=torch.float64))
    optimizer = VON([weight], memory=10, curvature=3.0, floor=0.0, beta=0.0, draws="gaussian", seed=2)
    for k in range(6000):
        for group in optimizer.param_groups:
            group["lr"] = group["forgetting"] = 0.1 / (1 + k / 100)
        optimizer.train()
        weight.grad = weight.detach() ** 3 - 1
        optimizer.step()
    optimizer.eval()
    assert float(weight.detach()) == pytest.approx(mean, rel=0.01)
    assert float(optimizer.deviations(weight).detach()) ** 2 == pytest.approx(1 / (10 * s), rel=0.05)
    assert abs(mean - 1.0) > 0.02  # of the loss itself the minimum is at 1: draws have to count


@pytest.mark.parametrize("squares", [False, True])
def test_a_step_is_what_the_papers_say(squares: bool) -> None:
    """Two steps of one weight, in plain numbers."""
    weight = torch.nn.Parameter(torch.tensor([0.7], dtype=torch.float64))
    settings = {"lr": 0.05, "memory": 20.0, "curvature": 2.0, "forgetting": 0.2, "beta": 0.9, "floor": 0.3}
    optimizer = VON([weight], **settings, weight_decay=0.1, pull=0.2, squares=squares, observations=4)  # type: ignore[arg-type] # numbers
    m, s, average, counted = 0.7, 2.0, 0.0, 0.0
    sign = 0.0
    for k, g in enumerate((1.5, -0.4)):
        optimizer.train()
        drawn = float(weight.detach())
        if k == 0:
            sign = math.copysign(1.0, drawn - m)
        theta = m + (sign if k == 0 else -sign) / math.sqrt(20 * s)  # the second draw mirrors the first
        assert drawn == pytest.approx(theta)
        weight.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        average, counted = 0.9 * average + 0.1 * g, 0.9 * counted + 0.1
        if squares:
            rho = 0.2 / (1 - 0.8 ** (k + 1))
            s += rho * (4 * g * g + 0.3 - s)
            m -= 0.05 * (average / counted / (math.sqrt(s / 4) + 1e-8) + 0.1 * m + 0.2 * (m - 0.7))
        else:
            if k == 1:
                e = 0.5 * (1.5 - -0.4) * (m - theta) * 20 * s + 0.3 + 0.1 + 0.2 - s
                s = s + 0.2 * e + 0.5 * (0.2 * e) ** 2 / s
            m -= 0.05 * (average / counted + 0.1 * m + 0.2 * (m - 0.7)) / s
        optimizer.eval()
        assert float(weight.detach()) == pytest.approx(m)
        assert float(optimizer.deviations(weight).detach()) == pytest.approx(1 / math.sqrt(20 * s))


def test_without_noise_vadam_is_adamw() -> None:
    generator = torch.Generator().manual_seed(1)
    mine = torch.nn.Parameter(torch.randn(50, generator=generator))
    theirs = torch.nn.Parameter(mine.detach().clone())
    adamw = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.999), weight_decay=0.1)
    vadam = VON(
        [mine],
        lr=1e-2,
        memory=math.inf,
        forgetting=1e-3,
        floor=0,
        squares=True,
        weight_decay=0.1,
        observations=64,
    )
    for _ in range(50):
        gradient = torch.randn(50, generator=generator)
        vadam.train()
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        adamw.step()
        vadam.step()
        vadam.eval()
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_the_precision_stays_positive_whatever_the_gradients() -> None:
    weight = torch.nn.Parameter(torch.ones(64))
    optimizer = VON([weight], lr=1e-3, memory=100, forgetting=1.0, floor=0.0)
    generator = torch.Generator().manual_seed(0)
    for k in range(200):
        optimizer.train()
        weight.grad = torch.randn(64, generator=generator) * 10.0 ** (k % 7 - 3)
        optimizer.step()
        assert bool((optimizer.state[weight]["precision"] > 0).all())


def test_it_does_not_freeze_a_jump_is_followed_as_fast_late_as_early() -> None:
    """A posterior that counted all data would follow ten times slower after ten times as many."""
    rounds = []
    for steady in (100, 1000):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = VON([weight], lr=0.1, memory=1e4, forgetting=0.05, floor=0.0, curvature=1.0)
        target, needed = 0.0, 0
        for k in range(steady + 300):
            target = 1.0 if k >= steady else 0.0
            optimizer.train()
            weight.grad = weight.detach() - target
            optimizer.step()
            needed += int(k >= steady and float(optimizer.state[weight]["mean"]) < 0.9)
        rounds.append(needed)
    assert rounds[0] == pytest.approx(rounds[1], abs=2)
    assert 10 < rounds[0] < 60


def test_where_no_gradient_tells_anything_certainty_is_forgotten_down_to_the_floor() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = VON([weight], memory=100, forgetting=0.1, floor=0.25, curvature=4.0)
    seen = []
    for _ in range(200):
        optimizer.train()
        weight.grad = torch.zeros(1)
        optimizer.step()
        seen.append(optimizer.uncertainty())
    assert seen == sorted(seen)  # ever less certain
    assert seen[-1] == pytest.approx(1 / math.sqrt(100 * 0.25), rel=0.02)


def test_uncertainty_is_the_geometric_mean_of_deviations_over_all_weights() -> None:
    first, second = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(3))
    groups: Any = [{"params": [first], "curvature": 4.0}, {"params": [second], "curvature": 0.25}]
    optimizer = VON(groups, memory=100)
    assert optimizer.uncertainty() == pytest.approx((0.05 * 0.2**3) ** 0.25)


def test_draws_are_keyed_by_seed_and_step_and_touch_no_global_generator() -> None:
    def drawn(seed: int, steps: int) -> list[float]:
        weight = torch.nn.Parameter(torch.zeros(8))
        optimizer = VON([weight], seed=seed)
        optimizer.train()
        for _ in range(steps):
            weight.grad = torch.zeros(8)
            optimizer.step()
        return weight.sign().tolist()

    before = torch.random.get_rng_state()
    assert drawn(1, 4) == drawn(1, 4)
    assert drawn(1, 4) != drawn(2, 4)
    assert drawn(1, 4) != drawn(1, 6)
    assert drawn(1, 5) == [-x for x in drawn(1, 4)]
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_step_that_is_not_at_a_draw_is_refused_and_so_are_settings_out_of_range() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"call train\(\) before"):
        VON([weight]).step()
    with pytest.raises(ValueError, match="memory must be above 0, not 0"):
        VON([weight], memory=0)
    with pytest.raises(ValueError, match="forgetting must be above 0 and at most 1, not 2"):
        VON([weight], forgetting=2)
    with pytest.raises(ValueError, match="draws must be signs or gaussian, not 'cauchy'"):
        VON([weight], draws="cauchy")
