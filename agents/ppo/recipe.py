"""What is trained on what, for how long: stages and profiles."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..hindsight.config import HindsightConfig

StageKind = Literal["surrogate", "hindsight", "language"]


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of PPO (Schulman et al., 2017), named as in stable-baselines3.

    The learning rate falls from leg to leg, from `learning_rate` to `final_learning_rate` over the stage. `rollout`
    is the number of steps per environment between two policy updates.
    """

    rollout: int = 64
    batch_size: int = 2048
    n_epochs: int = 6
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    gamma: float = 0.97
    gae_lambda: float = 0.9
    ent_coef: float = 0.002
    clip_range: float = 0.2
    max_grad_norm: float = 0.5
    vf_coef: float = 0.5

    def __post_init__(self) -> None:
        if self.rollout < 2 or self.batch_size < 2 or self.n_epochs < 1:
            raise ValueError("rollout and batch_size must be at least 2 and n_epochs at least 1")
        if not 0 <= self.gamma < 1:
            raise ValueError(f"gamma must be from 0 to below 1, not {self.gamma!r}")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be from 0 to 1, not {self.gae_lambda!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate!r}")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """About `steps` environment steps, in `legs` legs of equal length.

    A surrogate or language stage is PPO on such environments. A hindsight stage fits the policy to what its choices
    would have cost (`olrl.agents.hindsight`); its steps are the decisions of the learners that the policy steers.
    Each leg starts from environments seeded anew by (seed, stage, leg), and a checkpoint stands between two
    legs: a run that is resumed there goes on exactly as one that was never stopped.
    """

    name: str
    kind: StageKind
    steps: int
    n_envs: int = 1
    legs: int = 4
    env: Mapping[str, Any] = field(default_factory=dict)
    ppo: PPOConfig = PPOConfig()
    hindsight: HindsightConfig = field(default_factory=HindsightConfig)

    def __post_init__(self) -> None:
        if self.kind not in ("surrogate", "hindsight", "language"):
            raise ValueError(f"a stage is of kind surrogate, hindsight or language, not {self.kind!r}")
        if self.steps < 1 or self.n_envs < 1 or self.legs < 1:
            raise ValueError("steps, n_envs and legs of a stage must be at least 1")

    @property
    def leg_steps(self) -> int:
        """Environment steps of one leg: whole streams or whole rollouts, at least one."""
        if self.kind == "hindsight":
            return self.hindsight.streams * self.hindsight.rounds * self.hindsight.policy_lanes
        rollout = self.ppo.rollout * self.n_envs
        return max(1, round(self.steps / self.legs / rollout)) * rollout


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """On what the policy is judged: validation streams of a real language model.

    Before the first stage and after each one, with `every_leg` after each leg too; the policy of the best leg is
    kept.
    """

    every_leg: bool = False
    model: str = "pico"
    streams: int = 2
    rounds: int = 80
    base_lr_mult: tuple[float, ...] = (0.125, 1.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training run but its seed."""

    name: str
    coding: str = "moves"
    coding_settings: Mapping[str, float] = field(default_factory=dict)
    hidden: tuple[int, ...] = (128, 128)
    features: Mapping[str, Any] | None = None  # the spec of a selected set; None for those made by hand
    stages: tuple[StageConfig, ...]
    validation: ValidationConfig = ValidationConfig()
    minutes: str = ""  # what it takes on two cores, for the help
    kept_from: str | None = None  # the first stage whose legs may be kept: earlier ones lack what it teaches

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if self.kept_from is not None and self.kept_from not in names:
            raise ValueError(
                f"kept_from must be one of the stages {', '.join(names)}, not {self.kept_from!r}"
            )

    @property
    def models(self) -> tuple[str, ...]:
        """The language models that learn text in its stages."""
        return tuple(dict.fromkeys(stage.env["model"] for stage in self.stages if "model" in stage.env))

    @property
    def learns_labels(self) -> bool:
        """Whether a stage of it is on labels."""
        return any(stage.kind == "hindsight" and stage.hindsight.grounds == "labels" for stage in self.stages)


# Chosen by the experiments of 2026-11-23 and 24 in docs/LOG.md.
_SURROGATE_PPO = PPOConfig(rollout=32, n_epochs=3, gamma=0.96)
# Fine-tuning: small steps from a policy that already works.
_LANGUAGE_PPO = PPOConfig(
    rollout=20,
    batch_size=640,
    n_epochs=4,
    learning_rate=2e-4,
    final_learning_rate=4e-5,
    gamma=0.96,
    ent_coef=0.0,
    clip_range=0.1,
)


# More than a million steps make it better on the surrogate and worse on language models: see the log. Episodes are
# short, since what a policy does not learn otherwise is to leave a wrong base at once.
def _surrogate(steps: int, *, legs: int) -> StageConfig:
    return StageConfig(
        name="surrogate",
        kind="surrogate",
        steps=steps,
        n_envs=256,
        legs=legs,
        env={"rounds": 60},
        ppo=_SURROGATE_PPO,
    )


# A user's base is often right, and batch size and window more often than not.
_RANGES = {"base_right": 0.4, "base_free": 0.25}


def _language(
    model: str, steps: int, *, legs: int, rounds: int, n_streams: int, n_envs: int = 64
) -> StageConfig:
    return StageConfig(
        name=f"language-{model}",
        kind="language",
        steps=steps,
        n_envs=n_envs,
        legs=legs,
        env={"model": model, "rounds": rounds, "n_streams": n_streams, "ranges": _RANGES},
        ppo=_LANGUAGE_PPO,
    )


def _hindsight(model: str, *, legs: int, streams: int, rounds: int = 80, stream_seed: int = 0) -> StageConfig:
    config = HindsightConfig(streams=streams, rounds=rounds)
    return StageConfig(
        name=f"hindsight-{model}",
        kind="hindsight",
        steps=legs * streams * rounds * config.policy_lanes,
        legs=legs,
        env={"model": model, "ranges": _RANGES, "stream_seed": stream_seed},
        ppo=PPOConfig(gamma=_LANGUAGE_PPO.gamma),
        hindsight=config,
    )


# Labels, so that a policy does no harm where it steers a classifier.
def _labels(*, legs: int, streams: int, rounds: int = 60) -> StageConfig:
    config = HindsightConfig(grounds="labels", streams=streams, rounds=rounds, anchor=2.0)
    return StageConfig(
        name="hindsight-labels",
        kind="hindsight",
        steps=legs * streams * rounds * config.policy_lanes,
        legs=legs,
        env={"ranges": _RANGES},
        ppo=PPOConfig(gamma=_LANGUAGE_PPO.gamma),
        hindsight=config,
    )


PROFILES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="quick",
            minutes="at most 3 minutes",
            stages=(
                _surrogate(600_000, legs=3),
                _language("pico", 2_400, legs=1, rounds=50, n_streams=8, n_envs=8),
            ),
            validation=ValidationConfig(every_leg=True),
        ),
        Recipe(
            name="standard",
            coding="leaps",
            hidden=(64, 64),
            minutes="about 20 minutes",
            stages=(
                _hindsight("pico", legs=2, streams=12),
                _language("pico", 12_800, legs=1, rounds=60, n_streams=64),
            ),
            validation=ValidationConfig(every_leg=True, streams=5, rounds=80),
        ),
        Recipe(
            name="full",
            coding="leaps",
            hidden=(64, 64),
            minutes="about 57 minutes, 27 for a second seed",
            stages=(
                _hindsight("pico", legs=3, streams=12),
                _labels(legs=2, streams=16),
                _hindsight("nano", legs=2, streams=10, stream_seed=1),
                _language("pico", 12_800, legs=1, rounds=60, n_streams=64),
            ),
            validation=ValidationConfig(every_leg=True, model="nano", streams=6, rounds=80),
            kept_from="hindsight-labels",
        ),
    )
}


def recipe(profile: str) -> Recipe:
    """The recipe of a profile; ValueError for an unknown one."""
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}; choose from {', '.join(PROFILES)}")
    return PROFILES[profile]
