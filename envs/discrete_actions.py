"""One discrete action in place of four heads, for algorithms that choose between single actions (DQN)."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from .control_env import ControlEnv, Observation


def heads_of(actions: NDArray[np.integer[Any]], nvec: tuple[int, ...]) -> NDArray[np.int64]:
    """The choices of the heads, shape (n, heads), that numbers from 0 to prod(nvec) − 1 stand for, shape (n,).

    Numbers run as the indices of an array of shape `nvec`: the last head, skip or update, fastest.

    >>> heads_of(np.array([0, 1, 53]), (3, 3, 3, 2)).tolist()
    [[0, 0, 0, 0], [0, 0, 0, 1], [2, 2, 2, 1]]
    """
    return np.stack(np.unravel_index(actions, nvec), axis=1).astype(np.int64)


class DiscreteActions(gymnasium.ActionWrapper[Observation, np.int64, NDArray[np.int64]]):
    """An environment over the loop whose action is one number: every combination of the heads' choices.

    `Discrete(prod(nvec))`, 54 under `moves`: number a stands for the heads `np.unravel_index(a, nvec)` (rate,
    batch size, window, update; the last runs fastest). All else is the environment's own.

    >>> from olrl.envs.drifting_quadratic import DriftingQuadraticEnv
    >>> env = DiscreteActions(DriftingQuadraticEnv(rounds=4))
    >>> env.action_space, env.action(np.int64(27)).tolist()
    (Discrete(54), [1, 1, 1, 1])
    """

    def __init__(self, env: ControlEnv) -> None:
        super().__init__(env)
        self._nvec = env.coding.nvec
        self.action_space = spaces.Discrete(int(np.prod(self._nvec)))

    def action(self, action: np.int64) -> NDArray[np.int64]:
        """The heads' choices, shape (4,); ValueError for a number outside the space."""
        if not self.action_space.contains(action):
            raise ValueError(f"an action lies in {self.action_space}, not {action!r}")
        heads: NDArray[np.int64] = heads_of(np.asarray([action]), self._nvec)[0]
        return heads


class DiscreteActionsVec(VecEnvWrapper):
    """The same for many environments at once, as stable-baselines3 steps them."""

    def __init__(self, venv: VecEnv) -> None:
        heads = venv.action_space
        if not isinstance(heads, spaces.MultiDiscrete):
            raise ValueError(f"the environments' actions must be MultiDiscrete, not {heads}")
        self._nvec = tuple(heads.nvec.tolist())
        super().__init__(venv, action_space=spaces.Discrete(int(np.prod(self._nvec))))

    def reset(self) -> VecEnvObs:
        """As the wrapped environments."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Hand over the heads' choices of these numbers, shape (n,)."""
        self.venv.step_async(heads_of(actions, self._nvec))

    def step_wait(self) -> VecEnvStepReturn:
        """As the wrapped environments."""
        return self.venv.step_wait()
