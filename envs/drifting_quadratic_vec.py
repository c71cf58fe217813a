"""The surrogate, many at once: `DriftingQuadraticEnv` vectorised for training, and proven equal to it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.coding import Decisions
from olrl.control.decision import Base

from .control_vec_env import ControlVecEnv, Signals
from .drifting_quadratic import DriftingQuadraticEnv
from .quadratic_problem import BUDGET, QuadraticProblem, draw_problem
from .reward import running_mean, worst_spent_fraction
from .surrogate_alarms import raise_alarms
from .surrogate_round import begin, play
from .surrogate_state import PARAMETERS, ROW, SIGNALS, Array, Ints, empty_surrogates, put_problem


class DriftingQuadraticVecEnv(ControlVecEnv):
    """n `DriftingQuadraticEnv` as one stable-baselines3 `VecEnv`; keyword arguments are that environment's.

    Observations, rewards and ends of episodes are those of a `DummyVecEnv` of n of them under the same seeds
    and actions, to rounding. `info` is leaner: only `TimeLimit.truncated`, and `terminal_observation` at the
    end of an episode. Losses of the chunks observed last are in `loss_nats` and `reference_nats`, and
    `excess_nats` is the learners' true excess loss on them; arrays of shape (n,).

    Everything is in double precision but the targets and observations. One memory serves a learner and its
    reference, which see the same chunks and draw by the same luck. A round is compiled (numba) when it is first
    played on a machine, which takes about 15 seconds, and then kept. With `threads` above 1 the instances are
    shared out among as many threads, which changes no result. 256 instances take about 100,000 steps a second.

    >>> envs = DriftingQuadraticVecEnv(4, rounds=20)
    >>> envs.seed(0)
    [0, 1, 2, 3]
    >>> observations = envs.reset()
    >>> observations, rewards, ended, infos = envs.step(np.ones((4, 4), dtype=np.int64))
    >>> observations.shape == (4, *envs.observation_space.shape), rewards.dtype
    (True, dtype('float32'))
    """

    def __init__(self, n: int, *, threads: int = 1, **settings: Any) -> None:
        self._single = single = DriftingQuadraticEnv(**settings)
        super().__init__(n, single, rounds=single.rounds)
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads!r}")
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._state = empty_surrogates(n, dimension=single.randomisation.dimension[1], rounds=self.rounds)
        self._tasks = self._state.tasks
        self._problems: list[QuadraticProblem | None] = [None] * n
        self._masked = np.zeros(self._state.signals.shape, dtype=bool)
        self._worst_spent, self._running = np.ones(n), np.zeros(n)

    @property
    def loss_nats(self) -> Array:
        """Loss of each learner on the chunk observed last, nats; NaN where it is not finite."""
        return self._signal("loss_nats").copy()

    @property
    def reference_nats(self) -> Array:
        """Loss of each reference on the chunk observed last, nats."""
        return self._tasks["reference_nats"].copy()

    @property
    def excess_nats(self) -> Array:
        """True excess loss of each learner at the chunk observed last, expected over the noise, nats."""
        excess = np.empty(self.num_envs)
        for i, problem in enumerate(self._problems):
            assert problem is not None, "reset() puts a problem into every place"
            parameters = self._state.vectors[i, PARAMETERS, : problem.dimension]
            error = parameters - problem.optimum(int(self._tasks["t"][i]))
            excess[i] = 0.5 * (problem.curvature * error**2).sum()
        return excess

    def _signal(self, name: str) -> Array:
        """A signal as it is, also where a controller may not see it."""
        row: Array = self._state.signals[ROW[name]]
        return row

    def _begin(self, which: Ints, episode_seeds: list[int]) -> list[Base]:
        ranges = self._single.randomisation
        problems = [draw_problem(seed, ranges, rounds=self.rounds) for seed in episode_seeds]
        for i, problem in zip(which, problems, strict=True):
            put_problem(self._state, i, problem)
            self._problems[i] = problem
            self._masked[:, i] = [name in problem.masked for name in SIGNALS]
            self._worst_spent[i] = worst_spent_fraction(problem.cost)
        self._running[which] = 0.0
        return [problem.base for problem in problems]

    def _observe(self, which: Ints, *, first: bool) -> Signals:
        """Let the instances in `which` come to their next observation."""
        compiled_round = begin if first else play

        def come(part: Ints) -> None:
            compiled_round(self._state, part)
            raise_alarms(self._state, part)

        if self._pool is None:
            come(which)
        else:
            list(self._pool.map(come, np.array_split(which, self._threads)))
        count = self._tasks["t"][which] + 1
        self._running[which] = running_mean(self._running[which], self._tasks["reference_nats"][which], count)
        shown = np.where(self._masked[:, which], np.nan, self._state.signals[:, which])
        return dict(zip(SIGNALS, shown, strict=True))

    def _train(self, decisions: Decisions) -> None:
        """Put decisions in force; `play` trains. Steps and their cost are those of `CostModel`."""
        steered = self._state.learners[: self.num_envs]
        unit = self._signal("update_cost") + decisions.batch_size
        steps = np.maximum(1.0, np.floor(BUDGET / unit)) * decisions.update
        steered["steps"] = steps
        for name in ("lr", "batch_size", "window"):
            steered[name] = self._signal(name)[:] = getattr(decisions, name)
        self._signal("spent")[:] = steps * unit

    def _judge(self) -> tuple[Array, NDArray[np.bool_]]:
        """Rewards of the round just trained, and which learners failed."""
        loss, price = self._signal("loss_nats"), self._signal("price")
        failed = self.reward.failed(loss=loss, running=self._running)
        rewards = self.reward.of(
            loss=loss,
            reference=self._tasks["reference_nats"],
            running=self._running,
            price=price,
            spent_fraction=self._signal("spent") / BUDGET,
        )
        penalties = self.reward.of_failure(
            rounds_left=self.rounds - self._round + 1,
            price=price,
            worst_spent_fraction=self._worst_spent,
        )
        return np.where(failed, penalties, rewards), failed

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
