"""Workers through Ray, started when there is first something for them to do."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..local_ray import LOCAL, joined_ray, local_ray
from ..warm_processes import usable_cores
from .base import Workers
from .ray_pool import RayPool

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


class RayWorkers(Workers):
    """A process on each core of a Ray of our own on this machine, or of the cluster at an address.

    Ray is started (or joined) at the first use, since what is found in a cache needs none, and ended (or left) at
    the end of the context. `say` is told when it starts, and of processes that died and were replaced.
    """

    def __init__(self, address: str = LOCAL, *, say: Callable[[str], None] = lambda line: None) -> None:
        self._address, self._say = address, say
        self._stack = ExitStack()
        self._ray: Any = None

    def __exit__(self, *what: object) -> None:
        """End or leave Ray."""
        self._stack.close()
        self._ray = None

    @property
    def count(self) -> int:
        """Cores of this machine, or of the cluster."""
        if self._address == LOCAL:
            return usable_cores()
        return max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    @contextmanager
    def pool(self, most: int) -> Iterator[Executor]:
        """Calls on all cores; how many at once is Ray's to say."""
        yield RayPool(self._connected())

    def vec_env(self, makers: Sequence[Callable[[], "VecEnv"]]) -> "VecEnv":
        """A process of Ray's for each."""
        from .ray_vec_env import RayVecEnv

        return RayVecEnv(makers, ray=self._connected(), say=self._say)

    def _connected(self) -> Any:
        if self._ray is None:
            if self._address == LOCAL:
                self._say("Starting Ray on this machine, which takes 10 to 20 seconds")
                self._ray, _ = self._stack.enter_context(local_ray(cpus=usable_cores()))
            else:
                self._ray = self._stack.enter_context(joined_ray(self._address))
        return self._ray
