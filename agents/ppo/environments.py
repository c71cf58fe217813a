"""The vector environments of a stage."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv
from olrl.envs.reward import Reward

from ..workers.base import Workers
from ..workers.local import LocalWorkers
from .recipe import Recipe, StageConfig


def build_environments(
    stage: StageConfig, recipe: Recipe, *, workers: Workers | None = None, stacks: int | None = None
) -> VecEnv:
    """The stage's environments: surrogates vectorised in this process, language models stacked, a stack a worker.

    `stacks` of them, by default one for each of the `workers`, this machine's cores. Products in a stack are
    rounded by its size, so that another number of stacks trains to other bits; who the workers are does not.
    Rewards are bounded from below for training: see `BoundedLoss`.
    """
    if stage.kind == "hindsight":  # makes its own runs: only the spaces are asked for
        stage = replace(stage, kind="surrogate", n_envs=1, env={})
    settings = {**stage.env, "coding": recipe.coding, "coding_settings": dict(recipe.coding_settings)}
    if recipe.features is not None:
        settings["features"] = dict(recipe.features)
    workers = workers or LocalWorkers()
    return BoundedLoss(VecMonitor(_environments(stage, settings, workers, stacks)), gamma=stage.ppo.gamma)


def _environments(
    stage: StageConfig, settings: dict[str, Any], workers: Workers, stacks: int | None
) -> VecEnv:
    if stage.kind == "surrogate":
        return DriftingQuadraticVecEnv(stage.n_envs, **settings)
    count = min(stacks or workers.count, stage.n_envs)
    sizes = [len(part) for part in np.array_split(np.arange(stage.n_envs), count)]
    return workers.vec_env([partial(make_stack, n, **settings) for n in sizes])


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
