"""The surrogate: a drifting noisy quadratic in place of a language model, cheap and with a known optimum."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from olrl.control.decision import Base
from olrl.learners.quadratic import QuadraticLearner
from olrl.loop import OnlineLoop, Rounds
from olrl.memory import Memory
from olrl.monitor.detectors import DetectorBank
from olrl.monitor.monitor import LoopMonitor
from olrl.streams.chunk import Chunk

from .best_tracker import kalman_excess
from .control_env import ControlEnv
from .episode import Episode
from .quadratic_problem import (
    CHUNK,
    DETECTORS,
    PROBES,
    RESERVOIR,
    QuadraticProblem,
    QuadraticRandomisation,
    draw_problem,
)
from .reward import Reward


class DriftingQuadraticEnv(ControlEnv):
    """Steer a small learner that follows a drifting noisy quadratic: a language model's loop in miniature.

    A chunk is 16 examples, each a noisy target t in R^d and a floor f; the learner's loss on one is
    f + ½ Σ_j h_j (θ_j − t_j)², and it trains by SGD or AdamW on batches drawn from the window. Examples come in
    documents, which last about a round and have optima and floors of their own beside their domain's: as in
    text, what differs from document to document hides what drifts. Learner, memory, costs, signals and
    features are those of the real loop. Dimension, curvatures, noise, documents, drift, optimizer, cost of an
    update, price, the base configuration and the missing signals are drawn anew for each episode
    (`QuadraticRandomisation`).

    Observation: `Box(-5, 5, (n,), float32)`. Entry i is feature i of `FEATURE_SPEC` in
    `olrl.monitor.feature_spec`, which gives its name, formula, centre and unit; `olrl/OnlineLM-v0` has the
    same. The features of token histograms are always missing (0, with their mask at 1).

    Action: `MultiDiscrete` by `coding`; with the default `moves` it is `[3, 3, 3, 2]`:

    | index | 0 | 1 | 2 |
    |---|---|---|---|
    | 0 learning rate | halve | stay | double (base · 2^k, k within ±6) |
    | 1 batch size | halve | stay | double (within 1 … 64) |
    | 2 window | a step shorter | stay | a step longer (1, 2, 4, … 64 chunks, then the reservoir) |
    | 3 update | skip training in this round | train | |

    Reward: `clip(scale · (reference − loss) / running, ±clip) − scale · price · spent / budget`, with scale
    10 and clip 5. `loss` is the learner's on the chunk after the decision, `reference` that of a learner with
    the same start, examples and draws under a constant configuration that suits the task, `running` the
    reference's mean over about 30 rounds.

    Terminates when the loss is not finite or above 50 times `running`, with the reward −(rounds left + 1) ·
    (clip + scale · price · largest spent / budget): below the sum of anything that going on could cost.
    Truncates after `rounds` decisions.

    Chance: one integer drawn from the environment's generator at each reset (or the option `episode_seed`)
    decides everything in an episode: task, drift, noise and draws from memory.

    `info` holds what `ControlEnv` says; its `truth` has `optimum` (d,) of the chunk's documents on
    average, `excess_nats` (of the learner, expected over the noise), `kalman_nats` (the excess of the best
    tracker that knows when the optimum moves and when a document ends), `irreducible_nats` (expected of these
    documents) and `segment`.

    Arguments, all JSON-able: `rounds` decisions an episode; `coding` and `coding_settings` as in
    `olrl.control.actions`; `randomisation`, fields of `QuadraticRandomisation` to change; `reward`, fields of
    `Reward` to change; `features`, the spec of a set that `olrl features` has selected; `render_mode` `ansi` or
    `rgb_array`. An unknown field or a value out of range raises ValueError.

    Version history: v0, the first.

    >>> env = DriftingQuadraticEnv(rounds=20, render_mode="ansi")
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(np.array([1, 1, 1, 1]))
    >>> info["record"].report.updates > 0, env.observation_space.contains(observation)
    (True, True)
    """

    def __init__(
        self,
        *,
        rounds: int = 300,
        coding: str = "moves",
        coding_settings: dict[str, float] | None = None,
        randomisation: dict[str, Any] | None = None,
        reward: dict[str, Any] | None = None,
        features: dict[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            coding=coding,
            coding_settings=coding_settings,
            reward=Reward.from_dict(reward),
            features=features,
            render_mode=render_mode,
        )
        if self.coding.regularises:
            raise ValueError(
                f"coding {coding!r} trains on language models only: weight decay and pull have no effect on the "
                f"surrogate that would carry over"
            )
        if rounds < 1:
            raise ValueError(f"an episode has at least 1 round, not {rounds!r}")
        self.rounds = rounds
        self.randomisation = QuadraticRandomisation.from_dict(randomisation or {})

    def _new_episode(self, seed: int) -> Episode:
        return QuadraticEpisode(draw_problem(seed, self.randomisation, rounds=self.rounds))


class QuadraticEpisode(Episode):
    """A quadratic problem played by two loops: the learner's and the reference's."""

    def __init__(self, problem: QuadraticProblem) -> None:
        self.problem = problem
        self.base = problem.base
        self.rounds = len(problem.optima) - 1
        self._stream, self.loop = _assemble(problem, problem.base)
        self._reference_stream, self._reference_loop = _assemble(problem, problem.reference)
        self._kalman = kalman_excess(problem)

    def reference_loss(self) -> float:
        """Loss of the reference on the next chunk; then it trains."""
        signals = self._reference_loop.observe()
        assert signals is not None, "the reference is on the same stream"
        assert signals.loss_nats is not None, "the reference diverged: its rate is not sensible"
        self._reference_loop.apply(self.problem.reference.decision())
        return signals.loss_nats

    def truth(self) -> dict[str, Any]:
        """What a benchmark may know about the chunk observed last."""
        problem, t = self.problem, self._stream.position - 1
        learner = self.loop.learner
        assert isinstance(learner, QuadraticLearner)
        optimum = problem.optimum(t)
        excess = 0.5 * (problem.curvature * (learner.parameters - optimum) ** 2).sum()
        return {
            "optimum": optimum,
            "excess_nats": float(excess),
            "kalman_nats": float(self._kalman[t]),
            "irreducible_nats": problem.irreducible(t),
            "segment": int(problem.path.segment[t]),
        }

    def state_dict(self) -> dict[str, Any]:
        """Both loops and both streams."""
        return {
            "loop": self.loop.state_dict(),
            "stream": self._stream.state_dict(),
            "reference_loop": self._reference_loop.state_dict(),
            "reference_stream": self._reference_stream.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of an episode with the same problem."""
        self.loop.load_state_dict(state["loop"])
        self._stream.load_state_dict(state["stream"])
        self._reference_loop.load_state_dict(state["reference_loop"])
        self._reference_stream.load_state_dict(state["reference_stream"])


class QuadraticStream(Iterator[Chunk]):
    """The chunks of a problem; rows of target and floor take the place of tokens, and count one byte each."""

    def __init__(self, problem: QuadraticProblem) -> None:
        self.position = 0
        self._problem = problem

    def __next__(self) -> Chunk:
        t = self.position
        if t >= len(self._problem.optima):
            raise StopIteration
        self.position += 1
        return Chunk(
            tokens=self._problem.examples(t),
            n_bytes=np.ones(CHUNK, dtype=np.int32),
            index=t,
            source="quadratic",
            segment=int(self._problem.path.segment[t]),
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.position = state["position"]


def _assemble(problem: QuadraticProblem, base: Base) -> tuple[QuadraticStream, OnlineLoop]:
    stream = QuadraticStream(problem)
    learner = QuadraticLearner(
        start=problem.start, curvature=problem.curvature, optimizer=problem.optimizer, bulk=problem.bulk
    )
    memory = Memory(
        chunk_size=CHUNK,
        example_shape=(problem.dimension + 1,),
        dtype=np.float32,
        reservoir_size=RESERVOIR,
        seed=problem.seed,
    )
    monitor = LoopMonitor(
        detectors=DetectorBank(DETECTORS),
        histograms=None,
        cost=problem.cost,
        price=problem.price,
        masked=problem.masked,
    )
    rounds = Rounds(
        stream=stream, memory=memory, monitor=monitor, base=base, cost=problem.cost, probes=PROBES
    )
    return stream, OnlineLoop(rounds, learner)
