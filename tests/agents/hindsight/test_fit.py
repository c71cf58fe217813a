import numpy as np
import torch
from torch import nn

from olrl.agents.hindsight.config import HindsightConfig
from olrl.agents.hindsight.fit import Examples, fit
from olrl.agents.hindsight.runs import StreamRuns
from tests.agents.hindsight.made_runs import made_runs


def examples() -> Examples:
    """The first choice of the first head is dear where the observation is positive, else the second.

    Of the second all are as cheap; not to train costs as many per cent as the observation says.
    """
    seen = np.random.default_rng(0).normal(size=(20, 50, 1)).astype(np.float32)
    dear = np.where(seen > 0, [[[4.0, 0.0]]], [[[0.0, 4.0]]])
    made = Examples()
    update = np.concatenate([seen, np.zeros_like(seen)], axis=-1)
    made.add(seen_by(seen), [dear, np.zeros((20, 50, 3)), update])
    return made


def seen_by(observations: np.ndarray) -> StreamRuns:
    """Runs of which nothing counts but observations."""
    n, rounds, _ = observations.shape
    return made_runs(np.zeros((n, rounds + 1)), observations=observations.astype(np.float32))


def fitted(seed: int) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Linear(1, 7)
    fit(
        network,
        list(network.parameters()),
        examples(),
        heads=(2, 3, 2),
        names=("x",),
        config=HindsightConfig(steps=200, learning_rate=0.05, noise=0.0, weight_decay=0.0),
        seed=seed,
    )
    return network


def test_the_cheap_choice_is_learned_and_heads_are_told_apart() -> None:
    logits = fitted(0)(torch.tensor([[-1.0], [1.0]])).detach()
    assert logits[:, :2].argmax(dim=1).tolist() == [0, 1]
    equal = torch.softmax(logits[:, 2:5], dim=1)
    assert torch.allclose(
        equal, torch.full((2, 3), 1 / 3), atol=0.05
    )  # all as cheap: entropy keeps them even


def test_training_is_chosen_where_it_is_worth_more_than_nothing() -> None:
    logits = fitted(0)(torch.tensor([[-1.0], [1.0]])).detach()
    assert logits[:, 5:].argmax(dim=1).tolist() == [0, 1]


def test_the_same_seed_gives_the_same_weights() -> None:
    assert torch.equal(fitted(1).weight, fitted(1).weight)


def test_every_decision_of_every_run_is_an_example() -> None:
    every = examples().all()
    assert (every.observations.shape, every.costs.shape) == ((1000, 1), (1000, 7))
    assert every.share.tolist() == [0.5] * 1000


def test_a_head_whose_costs_are_unknown_keeps_what_it_was() -> None:
    made, network = Examples(), nn.Linear(1, 4)
    before = network.weight.detach().clone()
    rate = np.broadcast_to([[[2.0, 0.0]]], (20, 50, 2))
    made.add(seen_by(np.ones((20, 50, 1))), [rate, np.full((20, 50, 2), np.nan)])
    config = HindsightConfig(steps=50, learning_rate=0.05, weight_decay=0.0)
    fit(network, list(network.parameters()), made, heads=(2, 2), names=("x",), config=config, seed=0)
    assert torch.equal(network.weight[2:], before[2:])
    assert not torch.equal(network.weight[:2], before[:2])
