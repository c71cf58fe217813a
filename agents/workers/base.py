"""What whoever works for us can do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class Workers(ABC):
    """Processes that work for us, here or elsewhere; a context, at whose end they are gone.

    Where they are changes no result: they are given all that decides it, and seeds among that.
    """

    def __enter__(self) -> "Workers":
        return self

    @abstractmethod
    def __exit__(self, *what: object) -> None:
        """End them."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many things are done at once."""

    @abstractmethod
    def pool(self, most: int) -> AbstractContextManager[Executor]:
        """For at most so many calls at once; both the functions and what they are given go through pickle."""

    @abstractmethod
    def vec_env(self, makers: Sequence[Callable[[], "VecEnv"]]) -> "VecEnv":
        """Vector environments that `makers` make, each by a worker of its own, as one."""
