"""Workers on the cores of this machine."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..warm_processes import end_with_parent, usable_cores, warm_context
from .base import Workers

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


def worker_pool(processes: int) -> Executor:
    """Processes that end with this one, however it ends; each keeps the model and the streams that it has met."""
    return ProcessPoolExecutor(processes, mp_context=warm_context(), initializer=end_with_parent)


class LocalWorkers(Workers):
    """One process a core of this machine, forked from a server that has imported what is needed."""

    def __exit__(self, *what: object) -> None:
        """Nothing to end: pools and environments end their own processes."""

    @property
    def count(self) -> int:
        """Cores that this process may use."""
        return usable_cores()

    @contextmanager
    def pool(self, most: int) -> Iterator[Executor]:
        """Processes of its own; what has not begun when it is left, never does.

        ChildProcessError where one of them was killed: the others are ended then, and what they were at is lost.
        """
        workers = worker_pool(most)
        try:
            yield workers
        except BaseException as error:
            workers.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for what is half done
            if isinstance(error, BrokenExecutor):
                raise ChildProcessError(
                    "a worker process was ended from outside, most likely for want of memory"
                ) from error
            raise
        workers.shutdown()

    def vec_env(self, makers: Sequence[Callable[[], "VecEnv"]]) -> "VecEnv":
        """A process for each."""
        from olrl.envs.processes import VecEnvProcesses

        return VecEnvProcesses(makers, context=warm_context())
