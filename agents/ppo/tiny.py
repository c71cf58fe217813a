"""A recipe of seconds with a stage of every kind, for tests of what goes on around training."""

from ..hindsight.config import HindsightConfig
from .recipe import PPOConfig, Recipe, StageConfig, ValidationConfig

TINY = Recipe(
    name="tiny",
    hidden=(16, 16),
    minutes="seconds",
    stages=(
        StageConfig(
            name="surrogate",
            kind="surrogate",
            steps=192,
            n_envs=4,
            legs=3,
            env={"rounds": 20},
            ppo=PPOConfig(rollout=8, batch_size=32, n_epochs=2),
        ),
        StageConfig(
            name="hindsight",
            kind="hindsight",
            steps=16,
            legs=2,
            env={"model": "femto", "chunk": 4},
            hindsight=HindsightConfig(streams=1, rounds=4, policy_lanes=2, steps=10),
        ),
        StageConfig(
            name="language",
            kind="language",
            steps=48,
            n_envs=2,
            legs=2,
            env={"model": "pico", "rounds": 10, "n_streams": 2, "chunk": 4},
            ppo=PPOConfig(rollout=6, batch_size=12, n_epochs=2),
        ),
    ),
    validation=ValidationConfig(model="pico", streams=1, rounds=4, base_lr_mult=(8.0,)),
)
