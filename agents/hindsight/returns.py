"""What the learners that the policy steered earned: targets of the critic."""

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from olrl.envs.reward import Reward

from .config import HindsightConfig
from .runs import StreamRuns
from .targets import TUNED, reference_running

_LEFT_OUT = 20  # last rounds of a run, whose returns are cut short


def discounted_returns(runs: StreamRuns, *, lanes: int, gamma: float) -> NDArray[np.float64]:
    """Discounted sums of rewards from each decision on to the end, of the last `lanes` learners: (lanes, T).

    Rewards are the environment's, against the tuned constant on the same stream.
    """
    rewards = Reward().of(
        loss=runs.loss[-lanes:, 1:],
        reference=runs.loss[TUNED, 1:],
        running=reference_running(runs)[1:],
        price=runs.price[-lanes:, None],
        spent_fraction=runs.spent[-lanes:],
    )
    returns = np.zeros_like(rewards)
    following = np.zeros(lanes)
    for t in range(rewards.shape[1] - 1, -1, -1):
        returns[:, t] = following = rewards[:, t] + gamma * following
    return returns


def fit_critic(
    policy: ActorCriticPolicy,
    runs: list[StreamRuns],
    *,
    gamma: float,
    config: HindsightConfig,
    seed: int,
) -> float:
    """Fit the critic to the returns of steered learners, so that PPO starts from one that knows the policy.

    Returns the share of their variance that it does not explain, over the last tenth of the steps.
    """
    lanes = config.policy_lanes
    seen, wanted = [], []
    for one in runs:  # some are longer than others
        kept = slice(0, max(1, one.observations.shape[1] - _LEFT_OUT))
        seen.append(one.observations[-lanes:, kept].reshape(-1, one.observations.shape[-1]))
        wanted.append(discounted_returns(one, lanes=lanes, gamma=gamma)[:, kept].reshape(-1))
    observations = torch.from_numpy(np.concatenate(seen))
    returns = torch.from_numpy(np.concatenate(wanted)).float()
    parameters = [*policy.mlp_extractor.value_net.parameters(), *policy.value_net.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    errors: list[float] = []
    for _ in range(config.steps):
        rows = torch.randint(len(observations), (config.batch_size,), generator=generator)
        values: Tensor = policy.value_net(policy.mlp_extractor.forward_critic(observations[rows]))
        loss = (values[:, 0] - returns[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's is untyped
        optimizer.step()
        errors.append(float(loss.detach()))
    return float(np.mean(errors[-max(1, config.steps // 10) :]) / max(float(returns.var()), 1e-12))
