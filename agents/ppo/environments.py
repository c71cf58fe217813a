"""The vector environments of a stage."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv
from olrl.envs.processes import VecEnvProcesses
from olrl.envs.reward import Reward

from ..warm_processes import usable_cores, warm_context
from .recipe import Recipe, StageConfig


def build_environments(stage: StageConfig, recipe: Recipe) -> VecEnv:
    """The stage's environments: surrogates vectorised in this process, language models stacked, a stack a core.

    Rewards are bounded from below for training: see `BoundedLoss`.
    """
    if stage.kind == "hindsight":  # makes its own runs: only the spaces are asked for
        stage = replace(stage, kind="surrogate", n_envs=1, env={})
    settings = {**stage.env, "coding": recipe.coding, "coding_settings": dict(recipe.coding_settings)}
    return BoundedLoss(VecMonitor(_environments(stage, settings)), gamma=stage.ppo.gamma)


def _environments(stage: StageConfig, settings: dict[str, Any]) -> VecEnv:
    if stage.kind == "surrogate":
        return DriftingQuadraticVecEnv(stage.n_envs, **settings)
    processes = min(usable_cores(), stage.n_envs)
    sizes = [len(part) for part in np.array_split(np.arange(stage.n_envs), processes)]
    return VecEnvProcesses([partial(make_stack, n, **settings) for n in sizes], context=warm_context())


class BoundedLoss(VecEnvWrapper):
    """Rewards no lower than the worst that going on could cost, as a learner with this discount counts it.

    An environment's penalty for a lost learner outweighs all rounds left, undiscounted: hundreds of times an
    ordinary reward, so rare that it tells the critic nothing and so large that it drowns the rest of its batch.
    Discounted, going on without training costs at most clip / (1 − gamma); anything below that says no more.
    """

    def __init__(self, venv: VecEnv, *, gamma: float) -> None:
        super().__init__(venv)
        self.least = -Reward().clip / (1.0 - gamma)

    def reset(self) -> VecEnvObs:
        """As the wrapped environments."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """As the wrapped environments, their rewards bounded."""
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, np.maximum(rewards, self.least), dones, infos


def make_stack(n: int, **settings: Any) -> VecEnv:
    """N language-model environments as one stack, in a process of their own."""
    import torch

    from olrl.envs.online_lm_vec import OnlineLMVecEnv

    torch.set_num_threads(1)  # as many processes as cores share them already
    return OnlineLMVecEnv(n, **settings)
