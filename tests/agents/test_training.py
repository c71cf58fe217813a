from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from olrl.agents.ppo.environments import build_environments
from olrl.agents.ppo.progress import Progress
from olrl.agents.ppo.recipe import PPOConfig, Recipe, StageConfig
from olrl.agents.ppo.train import _build, _StageRun, best_policy, frozen
from olrl.agents.ppo.validation import Validation
from olrl.control.policy import FrozenPolicy
from olrl.envs.drifting_quadratic_vec import DriftingQuadraticVecEnv

STAY = np.array([1, 1, 1, 1])

# Quadratics of four dimensions that jump often, under AdamW, from base rates wrong by up to a factor of 11 either
# way; documents alike, little noise.
EASY: dict[str, Any] = {
    "dimension": [4, 4],
    "condition": [3.0, 10.0],
    "noise": [0.1, 0.3],
    "floor": [0.1, 0.3],
    "adamw": 1.0,
    "priced": 0.0,
    "masked": 0.0,
    "documents": {
        "rounds": [1.0, 1.0],
        "offset": [0.05, 0.1],
        "level": [0.01, 0.02],
        "examples": [0.05, 0.1],
    },
    "drift": {"event_rate": [0.05, 0.1], "jump": [1.0, 5.0], "eventless": 0.0, "bursts": 0.0, "quiet": 0.0},
}
TOY = StageConfig(
    name="toy",
    kind="surrogate",
    steps=40_000,
    n_envs=32,
    legs=2,
    env={"rounds": 40, "randomisation": EASY},
    ppo=PPOConfig(rollout=40, batch_size=320, gamma=0.9, ent_coef=0.0),
)


class Signed(VecEnvWrapper):
    """Rewards times a sign."""

    def __init__(self, venv: VecEnv, *, sign: int) -> None:
        super().__init__(venv)
        self.sign = sign

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, ended, infos = self.venv.step_wait()
        return observations, self.sign * rewards, ended, infos


class Silent:
    """A reporter that tells nobody."""

    def part(self, name: str, total: int) -> None: ...

    def step(self, done: int, note: str = "") -> None: ...

    def say(self, text: str) -> None: ...


def learned(stage: StageConfig, *, sign: int, seed: int, out: Path) -> FrozenPolicy:
    """What the legs of a stage make of an untrained policy; the recipe's own path but for the validation."""
    recipe = Recipe(name="toy", hidden=(64, 64), stages=(stage,))
    env = Signed(build_environments(stage, recipe), sign=sign)
    model = _build(recipe, stage, env, weights_of=None)
    run = _StageRun(recipe, 0, stage, model, Progress(), seed=seed, out=out, report=Silent())
    for leg in range(stage.legs):
        run._train_leg(leg)
    return frozen(recipe, model, Progress(), seed=seed)


def rewards_of(policy: FrozenPolicy | None, stage: StageConfig) -> NDArray[np.float64]:
    """Mean reward a round over each of 256 fresh episodes, of a policy or of the base left as it is.

    An episode that fails earns −5, the lowest reward of a round, in all rounds left.
    """
    count = 256
    envs = DriftingQuadraticVecEnv(count, **stage.env)
    envs.seed(12_345)
    observations: VecEnvObs = envs.reset()
    total, going_on = np.zeros(count), np.ones(count, dtype=bool)
    for k in range(envs.rounds):
        actions = np.tile(STAY, (count, 1)) if policy is None else policy.act(np.asarray(observations))
        observations, rewards, ended, _ = envs.step(actions)
        failed = going_on & ended & (k + 1 < envs.rounds)
        total += np.where(going_on, rewards, 0.0)
        total[failed] += -5.0 * (envs.rounds - k) - rewards[failed]
        going_on &= ~ended
    return total / envs.rounds


@pytest.mark.parametrize("sign", [1, -1])
def test_the_recipe_learns_a_toy_and_a_flipped_reward_does_not_pass_for_learning(
    sign: int, tmp_path: Path
) -> None:
    """Who finds the rate gains about 1.9 a round here; who is paid for losing loses as much."""
    base = rewards_of(None, TOY)
    gain = rewards_of(learned(TOY, sign=sign, seed=0, out=tmp_path), TOY) - base
    assert sign * gain.mean() > 1.0


@pytest.mark.parametrize(("kept_from", "kept"), [(None, "first"), ("second", "second")])
def test_a_leg_of_a_stage_before_the_named_one_is_not_kept_however_good(
    kept_from: str | None, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = tuple(replace(TOY, name=name, legs=1) for name in ("first", "second"))
    recipe = Recipe(name="toy", hidden=(8, 8), stages=stages, kept_from=kept_from)
    env = build_environments(TOY, recipe)
    model = _build(recipe, TOY, env, weights_of=None)
    model.set_logger(configure(None, []))
    progress = Progress()
    for number, found in enumerate((1.0, 1.1)):  # bits a byte: the first stage's leg is the better one
        run = _StageRun(
            recipe, number, stages[number], model, progress, seed=0, out=tmp_path, report=Silent()
        )
        validation = Validation(model="pico", fixed_bpb=1.0, policy_bpb={"1": found})
        monkeypatch.setattr(run, "_validate", lambda validation=validation: validation)
        run._judge(frozen(recipe, model, progress, seed=0))
    assert progress.best is not None
    assert progress.best.stage == kept
    assert best_policy(tmp_path, frozen(recipe, model, progress, seed=0), progress).training["kept"] == {
        "stage": kept,
        "leg": 0,
    }
