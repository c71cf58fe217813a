"""The surrogate, many at once: `DriftingQuadraticEnv` vectorised for training, and proven equal to it."""

from collections.abc import Sequence
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

from .batched_memory import BatchedMemory
from .batched_monitor import BatchedMonitor, steps_and_cost
from .batched_quadratic import BatchedQuadratic
from .batched_stream import BatchedStream
from .control_env import Observation, draw_episode_seed
from .drifting_quadratic import DriftingQuadraticEnv
from .quadratic_problem import (
    BUDGET,
    CHUNK,
    PROBES,
    QuadraticProblem,
    draw_problem,
)
from .reward import running_mean, worst_spent_fraction
from .training_batches import Array, Ints, gather_batches

_LARGEST_DRAW = int(BUDGET)  # examples that a round can train on


class DriftingQuadraticVecEnv(VecEnv):
    """n `DriftingQuadraticEnv` as one stable-baselines3 `VecEnv`; keyword arguments are that environment's.

    Observations, rewards and ends of episodes are those of a `DummyVecEnv` of n of them under the same seeds
    and actions, to rounding. `info` is leaner: only `TimeLimit.truncated`, and `terminal_observation` at the
    end of an episode. Losses of the chunks observed last are in `loss_nats` and `reference_nats`, and
    `excess_nats` is the learners' true excess loss on them; arrays of shape (n,).

    Everything is in double precision but the targets and observations. One memory serves a learner and its
    reference, which see the same chunks and draw by the same luck.

    >>> envs = DriftingQuadraticVecEnv(4, rounds=20)
    >>> envs.seed(0)
    [0, 1, 2, 3]
    >>> observations = envs.reset()
    >>> observations, rewards, ended, infos = envs.step(np.ones((4, 4), dtype=np.int64))
    >>> observations.shape == (4, *envs.observation_space.shape), rewards.dtype
    (True, dtype('float32'))
    """

    def __init__(self, n: int, **settings: Any) -> None:
        if n < 1:
            raise ValueError(f"a vector environment has at least 1 instance, not {n!r}")
        if settings.get("render_mode") is not None:
            raise ValueError("many surrogates at once are not rendered: make one DriftingQuadratic-v0")
        self._single = single = DriftingQuadraticEnv(**settings)
        self.coding, self.reward, self.rounds = single.coding, single.reward, single.rounds
        dimension = single.randomisation.dimension[1]
        self._memory = BatchedMemory(n, dimension + 1)
        self._stream = BatchedStream(n, dimension)
        self._learners = BatchedQuadratic(2 * n, dimension)  # the second half are the references
        self._monitor = BatchedMonitor(n)
        self._chunks = np.zeros((n, *self._memory.chunk_shape), dtype=np.float32)
        # Rate, batch size, steps and window: of the learners, then of the references.
        self._lr, self._sizes = np.zeros((2, n)), np.ones((2, n), dtype=np.int64)
        self._steps, self._windows = np.zeros((2, n), dtype=np.int64), np.ones((2, n), dtype=np.int64)
        self._round, self._worst_spent = np.zeros(n, dtype=np.int64), np.ones(n)
        self._running, self.reference_nats = np.zeros(n), np.zeros(n)
        self._generators: list[np.random.Generator | None] = [None] * n
        self._all = np.arange(n)
        super().__init__(n, single.observation_space, single.action_space)

    @property
    def loss_nats(self) -> Array:
        """Loss of each learner on the chunk observed last, nats; NaN where it is not finite."""
        return self._monitor["loss_nats"].copy()

    @property
    def excess_nats(self) -> Array:
        """True excess loss of each learner at the chunk observed last, expected over the noise, nats."""
        n = self.num_envs
        error = self._learners.parameters[:n] - self._stream.optima(self._round)
        excess: Array = 0.5 * np.einsum("nd,nd,nd->n", error, error, self._learners.curvature[:n])
        return excess

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
        self._observe(self._all)
        return self._features.update(self._signals)

    def _begin(self, which: Ints, options: Sequence[dict[str, Any]]) -> list[Base]:
        """Draw new episodes for the instances in `which` and return their bases."""
        problems = [self._draw(int(i), given) for i, given in zip(which, options, strict=True)]
        self._memory.reset(which, [problem.seed for problem in problems])
        self._stream.reset(which, problems)
        self._learners.reset(which, problems)
        self._learners.reset(self.num_envs + which, problems)
        self._monitor.reset(which, problems)
        self._round[which], self._running[which] = 0, 0.0
        for i, problem in zip(which, problems, strict=True):
            reference = problem.reference
            self._lr[1, i], self._sizes[1, i] = reference.lr, reference.batch_size
            self._windows[1, i] = reference.window
            self._steps[1, i] = problem.cost.updates(reference.batch_size)
        self._worst_spent[which] = [worst_spent_fraction(problem.cost) for problem in problems]
        return [problem.base for problem in problems]

    def _draw(self, instance: int, options: dict[str, Any]) -> QuadraticProblem:
        rng = self._generators[instance]
        assert rng is not None, "reset() seeds every generator"
        return draw_problem(draw_episode_seed(rng, options), self._single.randomisation, rounds=self.rounds)

    def _observe(self, which: Ints) -> None:
        """Score the next chunk of the instances in `which`, under learners and references."""
        chunks = self._stream.chunks(which, self._round[which])
        self._chunks[which] = chunks
        probes = self._memory.oldest(self._windows[0, which], PROBES, which)
        scored = np.concatenate([chunks, self._memory.targets[probes]], axis=1)
        losses = self._learners.losses(which, scored)
        self._monitor.measure(which, losses[:, :CHUNK], losses[:, CHUNK:])
        reference = self._learners.losses(self.num_envs + which, chunks).mean(axis=1)
        self.reference_nats[which] = reference
        self._running[which] = running_mean(self._running[which], reference, self._round[which] + 1)
        self._signals = self._monitor.signals()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions, shape (n, 4), for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Train under the actions' decisions, observe the next chunks, and start anew where an episode ended."""
        self._train(self.coding.apply(self._standing, self._actions, self._signals))
        self._round += 1
        self._observe(self._all)
        observations = self._features.update(self._signals)
        rewards, terminated = self._judge()
        truncated = (self._round >= self.rounds) & ~terminated
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
        self._observe(which)
        fresh = FeatureExtractor.for_bases(bases)
        observations = fresh.update({name: values[which] for name, values in self._signals.items()})
        self._features.put(which, fresh)
        return observations

    def _train(self, decisions: Decisions) -> None:
        n, memory, learners = self.num_envs, self._memory, self._learners
        memory.add(self._chunks, learners.weights(self._chunks))
        steps, spent = steps_and_cost(decisions, self._monitor["update_cost"])
        self._lr[0], self._sizes[0] = decisions.lr, decisions.batch_size
        self._steps[0], self._windows[0] = steps, decisions.window
        luck = memory.luck(self._round, _LARGEST_DRAW)
        batches = gather_batches(
            memory.targets,
            memory.weights,
            learners.curvature,
            rows=np.concatenate([memory.rows(luck, windows) for windows in self._windows]),
            sizes=self._sizes.ravel(),
            updates=self._steps.ravel(),
        )
        reports = learners.update(batches, self._lr.ravel())
        steered = batches.order < n
        self._monitor.trained(decisions, batches.order[steered], reports.of(steered), spent)

    def _judge(self) -> tuple[Array, NDArray[np.bool_]]:
        """Rewards of the round just trained, and which learners failed."""
        monitor, loss = self._monitor, self._monitor["loss_nats"]
        failed = self.reward.failed(loss=loss, running=self._running)
        rewards = self.reward.of(
            loss=loss,
            reference=self.reference_nats,
            running=self._running,
            price=monitor["price"],
            spent_fraction=monitor["spent"] / BUDGET,
        )
        penalties = self.reward.of_failure(
            rounds_left=self.rounds - self._round + 1,
            price=monitor["price"],
            worst_spent_fraction=self._worst_spent,
        )
        return np.where(failed, penalties, rewards), failed

    def close(self) -> None:
        """Nothing to release."""

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
