"""Steps a second of training end to end, and how they divide into rollouts and updates."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from .figures import Figure, Section, Setting, need


def _stage(kind: str, setting: Setting) -> Iterator[Figure]:
    recipe = need("olrl.agents.ppo.recipe", "recipe")("quick")
    build = need("olrl.agents.ppo.train", "_build")
    environments = need("olrl.agents.ppo.environments", "build_environments")
    stage = next(stage for stage in recipe.stages if stage.kind == kind)
    if setting.quick:
        stage = replace(stage, n_envs=2, ppo=replace(stage.ppo, rollout=4))
    torch.set_num_threads(1)  # as training does
    rollouts = setting.of(6 if kind == "surrogate" else 2, 1)
    envs = environments(stage, recipe)
    try:
        model = build(recipe, stage, envs, weights_of=None)
        model.set_random_seed(setting.seed)
        each = stage.ppo.rollout * stage.n_envs
        model.learn(each)  # warm: resets, references, first calls
        spent = {"rollout": 0.0, "update": 0.0}
        model.collect_rollouts = _timed(spent, "rollout", model.collect_rollouts)
        model.train = _timed(spent, "update", model.train)
        started = time.perf_counter()
        model.learn(each * rollouts, reset_num_timesteps=False)
        whole = time.perf_counter() - started
    finally:
        envs.close()
    yield Figure(name="end to end", value=each * rollouts / whole, unit="steps/s")
    yield Figure(name="a rollout", value=spent["rollout"] / rollouts, unit="s")
    yield Figure(name="an update", value=spent["update"] / rollouts, unit="s")
    yield Figure(name="updates", value=spent["update"] / whole, unit="share of the time")
    yield Figure(name="steps of a rollout", value=each, unit="steps")


def _timed(spent: dict[str, float], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = call(*args, **kwargs)
        spent[name] += time.perf_counter() - started
        return result

    return timed


SECTION = Section(
    name="ppo",
    about="training end to end with the recipe's settings",
    parts={"surrogate": partial(_stage, "surrogate"), "pico": partial(_stage, "language")},
)
