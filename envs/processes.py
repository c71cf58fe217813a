"""Vector environments in processes of their own, one a core, as one vector environment."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from .parts import VecEnvParts, answer_of, size_of

Maker = Callable[[], VecEnv]
_ENDED = "a process of environments was ended from outside, most likely for want of memory"


class VecEnvProcesses(VecEnvParts):
    """k vector environments, each in a process; their instances one behind the other.

    Where `SubprocVecEnv` gives every single environment a process and waits for the slowest at each step, here
    a process steps many at once.

    `makers` run in the processes (they must be picklable); `context` is a multiprocessing context. An error in
    a part is raised here, in its words.
    """

    def __init__(self, makers: Sequence[Maker], *, context: BaseContext | None = None) -> None:
        context = context or multiprocessing.get_context("spawn")
        super().__init__([_Process(context, maker) for maker in makers])


class _Process:
    """One process, seen from here."""

    def __init__(self, context: BaseContext, maker: Maker) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, maker), daemon=True)  # type: ignore[attr-defined] # every context has it
        self._process.start()
        theirs.close()

    def ask(self, *request: Any) -> None:
        """Without waiting; ChildProcessError if the process ended."""
        try:
            self._connection.send(request)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChildProcessError(_ENDED) from error

    def answer(self) -> Any:
        """The answer to the request before; ChildProcessError if the process ended, what it raised if it failed."""
        try:
            failure, answer = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise ChildProcessError(_ENDED) from error
        if failure is not None:
            raise failure
        return answer

    def close(self) -> None:
        self._connection.close()  # which ends the other side
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()


def _serve(connection: Connection, maker: Maker) -> None:
    """The other side: make the environment, and answer until the connection closes."""
    try:
        envs = maker()
        connection.send((None, size_of(envs)))
        while True:
            request = connection.recv()
            connection.send((None, answer_of(envs, *request)))
    except (EOFError, ConnectionResetError, BrokenPipeError, KeyboardInterrupt):
        return  # nobody asks any more
    except Exception as failure:  # raised on the other side
        connection.send((failure, None))
