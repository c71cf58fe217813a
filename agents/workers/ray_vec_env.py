"""Vector environments in Ray's processes, as one vector environment that outlives them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from olrl.envs.parts import VecEnvParts, answer_of, size_of

from .ray_pool import in_its_words

Maker = Callable[[], VecEnv]
Request = tuple[Any, ...]
TRIES = 3  # deaths in a row, without an answer between them, that are put up with


class RayVecEnv(VecEnvParts):
    """k vector environments, each in a process of Ray's, on this machine or another.

    A process that dies, or whose machine does, is replaced: its environments are made anew, reset with the seeds
    they were last reset with, and given all actions since, so that they stand where they stood, to the bit.
    That takes as long as those steps took; PPO here seeds anew in each leg. `replaced` counts them, and `say` is
    told of each. ChildProcessError where one dies `TRIES` times without an answer. An error of the environments
    themselves is raised here, in its words.

    `makers` and what they need must be importable where the processes are. `ray` is the package, connected.
    """

    def __init__(
        self, makers: Sequence[Maker], *, ray: Any, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._actors = [_Replayed(maker, ray, number, say) for number, maker in enumerate(makers)]
        super().__init__(self._actors)
        # Were instances left to seed themselves, as those of other vector environments are, no other process
        # could repeat what they did.
        self.seed(int(np.random.default_rng().integers(2**31)))

    @property
    def replaced(self) -> int:
        """Processes that died and were replaced."""
        return sum(actor.replaced for actor in self._actors)

    def step_wait(self) -> VecEnvStepReturn:
        """What the processes answer; last observations are copied, since what comes from Ray is read-only."""
        observations, rewards, ended, infos = super().step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = info["terminal_observation"].copy()
        return observations, rewards, ended, infos


class _Served:
    """What runs in a process of Ray's: a vector environment, made when it is first asked."""

    def begin(self, maker: Maker) -> Any:
        """Make it, and tell its size."""
        self._envs = maker()
        return size_of(self._envs)

    def play(self, requests: Sequence[Request]) -> Any:
        """The answer to the last of these requests."""
        answer = None
        for request in requests:
            answer = answer_of(self._envs, *request)
        return answer


class _Replayed:
    """One such process, seen from here, with all that it takes to put another in its place."""

    def __init__(self, maker: Maker, ray: Any, number: int, say: Callable[[str], None]) -> None:
        self._maker, self._ray, self._number, self._say = maker, ray, number, say
        self._since_reset: list[Request] = []
        self._request: Request | None = None  # the one that is to be answered; None for the size
        self._deaths = self.replaced = 0
        self._start()

    def _start(self) -> None:
        # Ray's own default for an actor, on purpose: it asks for a free core where it is placed and holds none
        # afterwards, since validation runs on the same cores while the environments wait.
        self._actor = self._ray.remote(_Served).options(scheduling_strategy="SPREAD", max_restarts=0).remote()
        self._waiting = self._actor.begin.remote(self._maker)

    def ask(self, *request: Any) -> None:
        """Begin to answer; what changes the environments is written down."""
        self._request = request
        if request[0] == "reset" and all(seed is not None for seed in request[1]):
            self._since_reset = []  # nothing before it matters any more
        if request[0] != "get_attr":
            self._since_reset.append(request)
        self._waiting = self._actor.play.remote([request])

    def answer(self) -> Any:
        """The answer to the request before, whatever dies meanwhile."""
        from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

        while True:
            try:
                answer = self._ray.get(self._waiting)
            except (RayActorError, OutOfMemoryError) as death:
                self._replace(death)
            except RayTaskError as error:
                raise in_its_words(error) from None
            else:
                self._deaths = 0
                return answer

    def _replace(self, death: Exception) -> None:
        self._deaths += 1
        if self._deaths >= TRIES:
            raise ChildProcessError(
                f"process {self._number} of environments died {TRIES} times at the same step, most likely for want "
                f"of memory ({str(death).splitlines()[0]})"
            ) from death
        self.replaced += 1
        steps = sum(request[0] == "step" for request in self._since_reset)
        self._say(f"A process of environments died; another one plays its {steps} steps again")
        self.close()
        self._start()
        if self._request is not None:
            asked = [self._request] if self._request[0] == "get_attr" else []
            self._waiting = self._actor.play.remote([*self._since_reset, *asked])

    def close(self) -> None:
        """End the process, dead or alive."""
        self._ray.kill(self._actor)
