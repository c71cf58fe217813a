"""The surrogate, many at once: `DriftingQuadraticEnv` vectorised for training, and proven equal to it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.monitor.features import FeatureExtractor

from .control_env import Observation, draw_episode_seed
from .drifting_quadratic import DriftingQuadraticEnv
from .quadratic_problem import BUDGET, QuadraticProblem, draw_problem
from .reward import running_mean, worst_spent_fraction
from .surrogate_alarms import raise_alarms
from .surrogate_round import begin, play
from .surrogate_state import PARAMETERS, ROW, SIGNALS, Array, Ints, Surrogates, empty_surrogates, put_problem


class DriftingQuadraticVecEnv(VecEnv):
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
        if n < 1:
            raise ValueError(f"a vector environment has at least 1 instance, not {n!r}")
        if settings.get("render_mode") is not None:
            raise ValueError("many surrogates at once are not rendered: make one DriftingQuadratic-v0")
        self._single = single = DriftingQuadraticEnv(**settings)
        self.coding, self.reward, self.rounds = single.coding, single.reward, single.rounds
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads!r}")
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._state = empty_surrogates(n, dimension=single.randomisation.dimension[1], rounds=self.rounds)
        self._tasks = self._state.tasks
        self._problems: list[QuadraticProblem | None] = [None] * n
        self._masked = np.zeros(self._state.signals.shape, dtype=bool)
        self._worst_spent, self._running = np.ones(n), np.zeros(n)
        self._generators: list[np.random.Generator | None] = [None] * n
        self._all = np.arange(n)
        super().__init__(n, single.observation_space, single.action_space)

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

    def reset(self) -> Observation:
        """Start a new episode in each; seeds and options given before are used once."""
        for i, seed in enumerate(self._seeds):
            if seed is not None or self._generators[i] is None:
                self._generators[i], _ = seeding.np_random(seed)
        options = self._options
        self._reset_seeds()
        self._reset_options()
        bases = self._begin(self._all, options)
        self._standing = self.coding.start_at(bases)
        self._features = FeatureExtractor.for_bases(bases)
        self._observe(self._all, begin)
        return self._features.update(self._signals)

    def _begin(self, which: Ints, options: Sequence[dict[str, Any]]) -> list[Base]:
        """Draw new episodes for the instances in `which` and return their bases."""
        problems = [self._draw(int(i), given) for i, given in zip(which, options, strict=True)]
        for i, problem in zip(which, problems, strict=True):
            put_problem(self._state, i, problem)
            self._problems[i] = problem
            self._masked[:, i] = [name in problem.masked for name in SIGNALS]
            self._worst_spent[i] = worst_spent_fraction(problem.cost)
        self._running[which] = 0.0
        return [problem.base for problem in problems]

    def _draw(self, instance: int, options: dict[str, Any]) -> QuadraticProblem:
        rng = self._generators[instance]
        assert rng is not None, "reset() seeds every generator"
        return draw_problem(draw_episode_seed(rng, options), self._single.randomisation, rounds=self.rounds)

    def _observe(self, which: Ints, compiled_round: Callable[[Surrogates, Ints], None]) -> None:
        """Let the instances in `which` come to their next observation."""

        def come(part: Ints) -> None:
            compiled_round(self._state, part)
            raise_alarms(self._state, part)

        if self._pool is None:
            come(which)
        else:
            list(self._pool.map(come, np.array_split(which, self._threads)))
        count = self._tasks["t"][which] + 1
        self._running[which] = running_mean(self._running[which], self._tasks["reference_nats"][which], count)
        shown = np.where(self._masked, np.nan, self._state.signals)
        self._signals = dict(zip(SIGNALS, shown, strict=True))

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions, shape (n, 4), for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Train under the actions' decisions, observe the next chunks, and start anew where an episode ended."""
        self._decide(self.coding.apply(self._standing, self._actions, self._signals))
        self._observe(self._all, play)
        observations = self._features.update(self._signals)
        rewards, terminated = self._judge()
        truncated = (self._tasks["t"] >= self.rounds) & ~terminated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(cut)} for cut in truncated]
        ended = terminated | truncated
        if ended.any():
            (which,) = np.nonzero(ended)
            for i in which:
                infos[i]["terminal_observation"] = observations[i].copy()
            observations[which] = self._begin_again(which)
        return observations, rewards.astype(np.float32), ended, infos

    def _begin_again(self, which: Ints) -> Observation:
        bases = self._begin(which, [{}] * len(which))
        self._standing.put(which, self.coding.start_at(bases))
        self._observe(which, begin)
        fresh = FeatureExtractor.for_bases(bases)
        observations = fresh.update({name: values[which] for name, values in self._signals.items()})
        self._features.put(which, fresh)
        return observations

    def _decide(self, decisions: Decisions) -> None:
        """Put decisions in force; steps and their cost are those of `CostModel`."""
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
            rounds_left=self.rounds - self._tasks["t"] + 1,
            price=price,
            worst_spent_fraction=self._worst_spent,
        )
        return np.where(failed, penalties, rewards), failed

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute that all instances share, once for each; AttributeError if there is none."""
        return [getattr(self._single, attr_name)] * len(list(self._get_indices(indices)))

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
