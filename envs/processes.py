"""Vector environments in processes of their own, one a core, as one vector environment."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from .indivisible import IndivisibleVecEnv

Maker = Callable[[], VecEnv]


class VecEnvProcesses(IndivisibleVecEnv):
    """k vector environments, each in a process; their instances one behind the other.

    Where `SubprocVecEnv` gives every single environment a process and waits for the slowest at each step, here
    a process steps many at once. Seeds, observations, rewards and infos are those of the parts: part i is
    seeded with the numbers of its own instances. Attributes can be read, methods not called.

    `makers` run in the processes (they must be picklable); `context` is a multiprocessing context. An error in
    a part is raised here, in its words.
    """

    def __init__(self, makers: Sequence[Maker], *, context: BaseContext | None = None) -> None:
        if not makers:
            raise ValueError("at least one vector environment is needed, none was given")
        context = context or multiprocessing.get_context("spawn")
        self._parts = [_Part(context, maker) for maker in makers]
        self._closed = False
        sizes = [part.answer() for part in self._parts]
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
        """End the processes."""
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


class _Part:
    """One process, seen from here."""

    def __init__(self, context: BaseContext, maker: Maker) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, maker), daemon=True)  # type: ignore[attr-defined] # every context has it
        self._process.start()
        theirs.close()

    def ask(self, *request: Any) -> None:
        self._connection.send(request)

    def answer(self) -> Any:
        """The answer to the request before; RuntimeError if the process ended or failed."""
        try:
            failure, answer = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise RuntimeError(
                "a process of environments ended by itself; was it killed for memory?"
            ) from error
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
        connection.send((None, (envs.num_envs, envs.observation_space, envs.action_space)))
        while True:
            request = connection.recv()
            connection.send((None, _answer(envs, *request)))
    except (EOFError, ConnectionResetError, BrokenPipeError, KeyboardInterrupt):
        return  # nobody asks any more
    except Exception as failure:  # raised on the other side
        connection.send((failure, None))


def _answer(envs: VecEnv, what: str, *arguments: Any) -> Any:
    if what == "step":
        return envs.step(arguments[0])
    if what == "get_attr":
        return envs.get_attr(arguments[0])
    seeds, options = arguments
    envs._seeds, envs._options = list(seeds), list(options)
    return envs.reset()
