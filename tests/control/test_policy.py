import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from olrl.control.policy import FrozenPolicy, load_policy
from olrl.monitor.feature_spec import FEATURE_NAMES
from tests.control.networks import random_policy
from tests.control.rounds import BASE, usual


def in_torch(policy: FrozenPolicy) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for weight, bias in policy.layers:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data, linear.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        parts += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("coding", ["moves", "residual", "anchored"])
def test_numpy_gives_the_networks_logits_and_choices(coding: str) -> None:
    policy = random_policy(coding, hidden=(128, 128))
    observations = np.random.default_rng(3).uniform(-5, 5, (200, len(FEATURE_NAMES))).astype(np.float32)
    normalised = np.clip(
        (observations.astype(np.float64) - policy.mean) / policy.std, -policy.clip, policy.clip
    )
    with torch.no_grad():
        expected = in_torch(policy)(torch.from_numpy(normalised.astype(np.float32))).numpy()
    logits = policy.logits(observations)
    assert logits.dtype == np.float32
    assert np.abs(logits - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())
    start = 0
    for head, choices in enumerate(policy.coding.nvec):
        assert (
            policy.act(observations)[:, head] == expected[:, start : start + choices].argmax(axis=1)
        ).all()
        start += choices


def test_observations_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="observations must be of shape"):
        random_policy().logits(np.zeros((1, 3), dtype=np.float32))


def wrong_layers(policy: FrozenPolicy) -> list[tuple[Any, Any]]:
    (weight, bias), *rest = policy.layers
    return [(weight[:, :-1], bias), *rest]


def not_finite(policy: FrozenPolicy) -> list[tuple[Any, Any]]:
    (weight, bias), *rest = policy.layers
    return [(np.full_like(weight, np.nan), bias), *rest]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {"layers": wrong_layers(p)}, "layer 0 takes"),
        (lambda p: {"layers": not_finite(p)}, "layer 0 holds"),
        (lambda p: {"layers": p.layers[:-1]}, "last layer"),
        (lambda p: {"layers": []}, "1 to 8 layers"),
        (lambda p: {"layers": [(w.astype(np.float64), b) for w, b in p.layers]}, "float32"),
        (lambda p: {"mean": p.mean[:-1]}, "mean"),
        (lambda p: {"std": p.std * 0}, "std must be positive"),
        (lambda p: {"clip": np.inf}, "clip"),
        (lambda p: {"quantiles": -p.quantiles}, "quantiles must not fall"),
        (lambda p: {"quantiles": p.quantiles[:, :2]}, "quantiles must be"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_at_construction(change: Any, message: str) -> None:
    policy = random_policy()
    with pytest.raises(ValueError, match=message):
        replace(policy, **change(policy))


def test_a_controller_goes_on_from_what_a_guard_put_in_force() -> None:
    policy = random_policy("moves")
    free, guarded = policy.controller(base=BASE), policy.controller(base=BASE)
    decision = free.decide(usual(0))
    assert decision == guarded.decide(usual(0))
    overruled = replace(decision, lr=BASE.lr / 8)
    assert guarded.decide(usual(1, overruled)).lr in (BASE.lr / 4, BASE.lr / 8, BASE.lr / 16)
    assert free.decide(usual(1, decision)).lr in (decision.lr / 2, decision.lr, decision.lr * 2)


def test_a_given_price_stands_in_for_that_of_the_signals() -> None:
    policy = random_policy()
    dear = [policy.controller(base=BASE, price=5.0).decide(usual(k)) for k in range(1)]
    told = policy.controller(base=BASE).decide(replace(usual(0), price=5.0))
    assert dear == [told]
    with pytest.raises(ValueError, match="price must be"):
        policy.controller(base=BASE, price=-1.0)


def test_loading_and_deciding_import_neither_torch_nor_a_training_framework(tmp_path: Any) -> None:
    random_policy().save(tmp_path / "policy")
    code = f"""
import sys, olrl
controller = olrl.load_policy({str(tmp_path / "policy")!r}).controller(base=olrl.Base(lr=1e-3))
controller.decide(olrl.Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8))
heavy = ("torch", "transformers", "gymnasium", "stable_baselines3", "river", "pandas", "scipy")
assert not [name for name in heavy if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_policy_that_ships_says_where_it_was_trained() -> None:
    """Without a range the guard would look for frozen signals only."""
    policy = load_policy("default")
    assert policy.training_range is not None
    assert set(policy.training_range.regions) == {"lm", "classify"}
    assert policy.controller(base=BASE).training_range is policy.training_range


def test_an_unknown_name_is_answered_with_what_would_do(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=r"there is no policy at .*: give 'default' or a folder"):
        load_policy(tmp_path / "nowhere")
