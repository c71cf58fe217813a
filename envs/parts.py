"""Vector environments that are computed elsewhere, as one vector environment."""

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from .indivisible import IndivisibleVecEnv

Size = tuple[int, gymnasium.Space[Any], gymnasium.Space[Any]]  # instances, observation space, action space


class Part(Protocol):
    """One vector environment, wherever it is: first it tells its `Size`, then answers what it is asked, in order.

    Asked are `("reset", seeds, options)`, `("step", actions)` and `("get_attr", name)`; see `answer_of`.
    """

    def ask(self, *request: Any) -> None:
        """Begin to answer."""

    def answer(self) -> Any:
        """The answer to the request before; what went wrong there is raised here."""

    def close(self) -> None:
        """End it; it may be ended already."""


class VecEnvParts(IndivisibleVecEnv):
    """k vector environments, their instances one behind the other; the parts step at the same time.

    Seeds, observations, rewards and infos are those of the parts: part i is seeded with the numbers of its own
    instances. Attributes can be read, methods not called. Closing ends the parts.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise ValueError("at least one vector environment is needed, none was given")
        self._parts = parts
        self._closed = False
        sizes: list[Size] = [part.answer() for part in parts]
        self._places = np.split(
            np.arange(sum(n for n, _, _ in sizes)), np.cumsum([n for n, _, _ in sizes])[:-1]
        )
        _, observation_space, action_space = sizes[0]
        super().__init__(sum(n for n, _, _ in sizes), observation_space, action_space)

    def reset(self) -> VecEnvObs:
        """Start a new episode in each; seeds and options given before are used once."""
        for part, places in zip(self._parts, self._places, strict=True):
            part.ask("reset", [self._seeds[i] for i in places], [self._options[i] for i in places])
        self._reset_seeds()
        self._reset_options()
        return np.concatenate([part.answer() for part in self._parts])

    def step_async(self, actions: NDArray[Any]) -> None:
        """Let every part step."""
        for part, places in zip(self._parts, self._places, strict=True):
            part.ask("step", actions[places])

    def step_wait(self) -> VecEnvStepReturn:
        """What the parts answer, one behind the other."""
        answers = [part.answer() for part in self._parts]
        observations, rewards, ended, infos = zip(*answers, strict=True)
        joined = [info for some in infos for info in some]
        return np.concatenate(observations), np.concatenate(rewards), np.concatenate(ended), joined

    def close(self) -> None:
        """End the parts."""
        if not self._closed:
            self._closed = True
            for part in self._parts:
                part.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the instances; AttributeError if there is none."""
        wanted = list(self._get_indices(indices))
        values: list[Any] = []
        for part in self._parts:
            part.ask("get_attr", attr_name)
        for part in self._parts:
            values += part.answer()
        return [values[i] for i in wanted]


def size_of(envs: VecEnv) -> Size:
    """What a part tells of itself first."""
    return envs.num_envs, envs.observation_space, envs.action_space


def answer_of(envs: VecEnv, what: str, *arguments: Any) -> Any:
    """What a part answers, where its vector environment is."""
    if what == "step":
        return envs.step(arguments[0])
    if what == "get_attr":
        return envs.get_attr(arguments[0])
    seeds, options = arguments
    envs._seeds, envs._options = list(seeds), list(options)
    return envs.reset()
