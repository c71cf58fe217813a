"""Vector environments without an environment behind each instance."""

from abc import ABC
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices


class IndivisibleVecEnv(VecEnv, ABC):
    """A `VecEnv` whose instances are one computation: their settings are read together and changed never."""

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refused: the instances share their settings, so make another vector environment."""
        raise ValueError(f"{attr_name!r} is shared by all instances: make another {type(self).__name__}")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Refused: there is no environment behind an instance."""
        raise ValueError(f"there is no environment behind an instance to call {method_name!r} on")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """False for each: nothing wraps an instance."""
        return [False] * len(list(self._get_indices(indices)))
