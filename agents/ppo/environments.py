"""The vector environments of a stage."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecMonitor

from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv

from .recipe import StageConfig

LANGUAGE_ENV = "olrl.envs:olrl/OnlineLM-v0"


def build_environments(stage: StageConfig, *, coding: str) -> VecEnv:
    """The stage's environments: surrogates vectorised in this process, language models a process each."""
    if stage.kind == "surrogate":
        return VecMonitor(DriftingQuadraticVecEnv(stage.n_envs, coding=coding, **stage.env))
    multiprocessing.set_forkserver_preload(["torch", "transformers", "olrl.envs.online_lm"])
    maker = language_maker(coding=coding, **stage.env)
    return VecMonitor(SubprocVecEnv([maker] * stage.n_envs, start_method="forkserver"))


def language_maker(**kwargs: Any) -> Callable[[], gymnasium.Env[Any, Any]]:
    """A function that makes one language-model environment in a process of its own."""

    def make() -> gymnasium.Env[Any, Any]:
        import torch

        torch.set_num_threads(1)  # as many processes as environments share the cores already
        return gymnasium.make(LANGUAGE_ENV, **kwargs)

    return make
