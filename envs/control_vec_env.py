"""What vector environments that are one computation have in common: seeds, episodes, the interface of SB3."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from olrl.control.coding import Decisions
from olrl.control.decision import Base

from .control_env import ControlEnv, Observation, draw_episode_seed
from .indivisible import IndivisibleVecEnv

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Signals = dict[str, Floats]


class ControlVecEnv(IndivisibleVecEnv):
    """n environments like `single`, stepped as one; observations, actions and seeds are those of n `single`.

    `info` is leaner: `TimeLimit.truncated`, `terminal_observation` at the end of an episode, and what an
    environment adds.
    """

    def __init__(self, n: int, single: ControlEnv, *, rounds: int) -> None:
        if n < 1:
            raise ValueError(f"a vector environment has at least 1 instance, not {n!r}")
        if single.render_mode is not None:
            raise ValueError("many environments at once are not rendered: make one of them")
        self.single = single
        self.coding, self.reward, self.rounds = single.coding, single.reward, rounds
        self._generators: list[np.random.Generator | None] = [None] * n
        self._round = np.zeros(n, dtype=np.int64)
        self._all = np.arange(n)
        super().__init__(n, single.observation_space, single.action_space)

    @abstractmethod
    def _begin(self, which: Ints, episode_seeds: list[int]) -> list[Base]:
        """Start the episodes of these seeds in the instances `which`, and return their bases."""

    @abstractmethod
    def _observe(self, which: Ints, *, first: bool) -> Signals:
        """Score the next chunk (or the first) of the instances in `which`, and measure: arrays (len(which),)."""

    @abstractmethod
    def _train(self, decisions: Decisions) -> None:
        """Train all learners, now or before they are next observed."""

    @abstractmethod
    def _judge(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Rewards of the round just trained, and which learners failed."""

    def _infos(self) -> list[dict[str, Any]]:
        """What is told of the round just trained, a dictionary for each instance."""
        return [{} for _ in range(self.num_envs)]

    def reset(self) -> Observation:
        """Start a new episode in each; seeds and options given before are used once."""
        for i, seed in enumerate(self._seeds):
            if seed is not None or self._generators[i] is None:
                self._generators[i], _ = seeding.np_random(seed)
        options = self._options
        self._reset_seeds()
        self._reset_options()
        bases = self._begin(self._all, self._draw_seeds(self._all, options))
        self._round[:] = 0
        self._standing = self.coding.start_at(bases)
        self._features = self.single.features.extractor(bases)
        self._signals = self._observe(self._all, first=True)
        observations: Observation = self._features.update(self._signals)
        return observations

    def _draw_seeds(self, which: Ints, options: Sequence[dict[str, Any]]) -> list[int]:
        seeds = []
        for i, given in zip(which, options, strict=True):
            rng = self._generators[i]
            assert rng is not None, "reset() seeds every generator"
            seeds.append(draw_episode_seed(rng, given))
        return seeds

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions, shape (n, 4), for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Train under the actions' decisions, observe the next chunks, and start anew where an episode ended."""
        self._train(self.coding.apply(self._standing, self._actions, self._signals))
        self._round += 1
        self._signals = self._observe(self._all, first=False)
        observations = self._features.update(self._signals)
        rewards, terminated = self._judge()
        truncated = (self._round >= self.rounds) & ~terminated
        infos = self._infos()
        for info, cut in zip(infos, truncated.tolist(), strict=True):
            info["TimeLimit.truncated"] = cut
        ended = terminated | truncated
        if ended.any():
            (which,) = np.nonzero(ended)
            for i in which:
                infos[i]["terminal_observation"] = observations[i].copy()
            observations[which] = self._begin_again(which)
        return observations, rewards.astype(np.float32), ended, infos

    def _begin_again(self, which: Ints) -> Observation:
        bases = self._begin(which, self._draw_seeds(which, [{}] * len(which)))
        self._round[which] = 0
        self._standing.put(which, self.coding.start_at(bases))
        signals = self._observe(which, first=True)
        for name, values in signals.items():
            self._signals[name][which] = values
        fresh = self.single.features.extractor(bases)
        observations: Observation = fresh.update(signals)
        self._features.put(which, fresh)
        return observations

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute that all instances share, once for each; AttributeError if there is none."""
        return [getattr(self.single, attr_name)] * len(list(self._get_indices(indices)))
