"""A real language model that learns online from real, drifting text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.cost import CostModel
from olrl.learners.optimizer import STACKABLE, OptimizerConfig
from olrl.loop import OnlineLoop
from olrl.models.load import load_model
from olrl.streams.chunk import Chunk
from olrl.streams.pieces import SPLITS
from olrl.streams.suite import SuiteConfig, SuiteName

from .control_env import ControlEnv
from .episode import Episode
from .language_streams import LanguageStreams
from .masks import draw_masks
from .reward import Reward


@dataclass(frozen=True, kw_only=True)
class EpisodeRanges:
    """What is drawn anew for each episode; a range of one value fixes it.

    `base_lr_octaves`: the base rate is the tuned one times 2^U(-x, x); `base_right`: probability that it is the
    tuned one itself, as a user's often is. `base_free`: probability that batch size
    and window of the base are drawn from their ladders instead of the tuned ones. `update_cost`: uniform, units.
    `price`: 0 with probability one half, otherwise log-uniform in this range; `(0, 0)` for no price ever.
    `mask_probability`: of each group of signals to be missing throughout the episode.
    """

    base_lr_octaves: float = 3.5
    base_right: float = 0.0
    base_free: float = 0.5
    update_cost: tuple[float, float] = (0.0, 16.0)
    price: tuple[float, float] = (0.003, 0.1)
    mask_probability: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.base_lr_octaves <= 20:
            raise ValueError(f"base_lr_octaves must be from 0 to 20, not {self.base_lr_octaves!r}")
        for name in ("base_right", "base_free", "mask_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability, not {getattr(self, name)!r}")
        if not 0 <= self.update_cost[0] <= self.update_cost[1] < math.inf:
            raise ValueError(f"update_cost must be a range of units from 0 up, not {self.update_cost!r}")
        low, high = self.price
        if not (0 < low <= high < math.inf or low == high == 0):
            raise ValueError(f"price must be a range of positive numbers, or (0, 0), not {self.price!r}")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "EpisodeRanges":
        """From a plain (JSON-able) mapping of the fields to change; ValueError for an unknown name."""
        try:
            return cls(**{name: _tuple(value) for name, value in given.items()})
        except TypeError as error:  # Python names the unknown field
            raise ValueError(f"ranges: {error}") from None

    def draw(self, rng: np.random.Generator, fixed: Base) -> tuple[Base, CostModel, float, frozenset[str]]:
        """Base, cost model, price and missing signals of one episode."""
        free = rng.random() < self.base_free
        batch_size, window = int(rng.choice(BATCH_SIZES)), int(rng.choice(WINDOWS))
        octaves = rng.uniform(-self.base_lr_octaves, self.base_lr_octaves)
        if self.base_right and rng.random() < self.base_right:
            octaves = 0.0
        base = Base(
            lr=fixed.lr * 2.0**octaves,
            batch_size=batch_size if free else fixed.batch_size,
            window=window if free else fixed.window,
            weight_decay=fixed.weight_decay,
            pull=fixed.pull,
        )
        cost = CostModel(update_cost=rng.uniform(*self.update_cost))
        priced, position = rng.random() < 0.5, rng.random()
        price = 0.0
        if priced and self.price[1] > 0:
            price = math.exp(np.interp(position, (0, 1), np.log(self.price)))
        return base, cost, price, draw_masks(rng, self.mask_probability)


class OnlineLMEnv(ControlEnv):
    """Steer the learning rate, batch size and sampling window of a language model on a drifting stream.

    The learner starts each episode from the model's shipped weights and reads builtin text (the training split
    unless asked otherwise) with abrupt, gradual, recurring or no drift, or bursts of noise.

    Observation: `Box(-5, 5, (n,), float32)`. Entry i is feature i of `FEATURE_SPEC` in
    `olrl.monitor.feature_spec`, which gives its name, formula, centre and unit; with `features`, of that set.

    Action: `MultiDiscrete` by `coding`; with the default `moves` it is `[3, 3, 3, 2]`:

    | index | 0 | 1 | 2 |
    |---|---|---|---|
    | 0 learning rate | halve | stay | double (base · 2^k, k within ±6) |
    | 1 batch size | halve | stay | double (within 1 … 64) |
    | 2 window | a step shorter | stay | a step longer (1, 2, 4, … 64 chunks, then the reservoir) |
    | 3 update | skip training in this round | train | |

    Reward: `clip(scale · (reference − loss) / running, ±clip) − scale · price · spent / budget`, with scale
    10 and clip 5. `loss` is the learner's on the chunk after the decision, nats per token; `reference` that of
    a learner with the same start, chunks and draws under the constant configuration tuned for the model on
    training streams (`fixed` in its olrl.json) at the default cost, whatever the episode's base and cost;
    `running` the reference's mean over about 30 rounds.

    Terminates when the loss is not finite or above 50 times `running`, with the reward −(rounds left + 1) ·
    (clip + scale · price · largest spent / budget): below the sum of anything that going on could cost.
    Truncates after `rounds` decisions.

    Chance: one integer drawn from the environment's generator at each reset (or the option `episode_seed`)
    decides the stream (one of `n_streams`), the base configuration, cost of an update, price and missing
    signals (`EpisodeRanges`). Draws from memory are keyed by the stream's number, so learner and reference
    share their luck.

    `info` holds what `ControlEnv` says; its `truth` has `segment`, the number of the drift segment, and
    `source`, the domain, of the chunk observed last.

    Arguments, all JSON-able: `model`, a shipped model's name; `split` of the builtin text; `rounds` decisions
    an episode; `n_streams` different streams, drawn from `stream_seed`; `segment`, the least and most rounds
    between drifts; `suite` drift, ciphered or quiet, as in `olrl.streams.suite`; `chunk` sequences a round;
    `optimizer` adamw or sgd; `coding` and `coding_settings` as in `olrl.control.actions`; `ranges`, fields of
    `EpisodeRanges` to change; `reward`, fields of `Reward` to change;
    `features`, the spec of a set that `olrl features` has selected; `device`; `render_mode` `ansi` or
    `rgb_array`. An unknown field or a value out of range raises ValueError. The first reset on a stream costs a
    run of the reference, kept in the cache folder.

    Version history: v0, the first.

    >>> env = OnlineLMEnv(rounds=2, n_streams=1, render_mode="ansi")
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(np.array([1, 1, 1, 1]))
    >>> info["record"].report.updates > 0, env.observation_space.contains(observation)
    (True, True)
    """

    def __init__(
        self,
        *,
        model: str = "pico",
        split: str = "train",
        rounds: int = 120,
        n_streams: int = 64,
        stream_seed: int = 0,
        segment: tuple[int, int] | None = None,
        chunk: int = 16,
        optimizer: str = "adamw",
        suite: SuiteName = "drift",
        coding: str = "moves",
        coding_settings: dict[str, float] | None = None,
        ranges: dict[str, Any] | None = None,
        reward: dict[str, Any] | None = None,
        features: dict[str, Any] | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            coding=coding,
            coding_settings=coding_settings,
            reward=Reward.from_dict(reward),
            features=features,
            render_mode=render_mode,
        )
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        if rounds < 1 or n_streams < 1:
            raise ValueError(f"rounds and n_streams must be at least 1, not {rounds!r} and {n_streams!r}")
        self.loaded = loaded = load_model(model, device=device)
        if loaded.fixed is None:
            raise ValueError(f"model {model!r} has no tuned constant configuration for the reference to run")
        self._fixed = loaded.fixed
        self.rounds = rounds
        self._n_streams = n_streams
        self.ranges = EpisodeRanges.from_dict(ranges or {})
        self.config = LoopConfig(chunk=chunk, seq_len=loaded.seq_len)
        if optimizer not in STACKABLE:  # the reference learner is one of a stack
            raise ValueError(f"optimizer must be {' or '.join(STACKABLE)}, not {optimizer!r}")
        self.optimizer = OptimizerConfig(name=optimizer)
        drifting = SuiteConfig.for_rounds(
            rounds,
            bytes_per_round=loaded.bytes_per_round(chunk=chunk),
            split=split,
            seed=stream_seed,
            segment=segment and (segment[0], segment[1]),
            suite=suite,
        )
        self.streams = LanguageStreams(
            drifting, loaded, fixed=self._fixed, config=self.config, optimizer=self.optimizer, rounds=rounds
        )

    @cached_property
    def _learner(self) -> CausalLMLearner:
        learner = CausalLMLearner(self.loaded.model, optimizer=self.optimizer)
        self._initial = {"values": learner.state_dict()["values"]}
        return learner

    def draw_task(self, seed: int) -> "LMTask":
        """Stream, base, cost, price and missing signals of the episode named by `seed`."""
        rng = np.random.default_rng(seed)
        number = int(rng.integers(self._n_streams))
        base, cost, price, masked = self.ranges.draw(rng, self._fixed)
        config = replace(self.config, cost=cost, price=price, masked=masked, seed=number)
        return LMTask(number=number, base=base, config=config)

    def _new_episode(self, seed: int) -> Episode:
        task = self.draw_task(seed)
        reference = self.streams.reference(task.number)  # before the learner starts: it may be run now
        learner = self._learner
        learner.load_state_dict(self._initial)
        chunks = self.streams.chunks(task.number)
        return _LMEpisode(learner, chunks, reference, task=task, rounds=self.rounds)


@dataclass(frozen=True, kw_only=True)
class LMTask:
    """What an episode is: the number of its stream, the base control starts from, and the loop's settings."""

    number: int
    base: Base
    config: LoopConfig


class _LMEpisode(Episode):
    def __init__(
        self,
        learner: CausalLMLearner,
        chunks: Sequence[Chunk],
        reference: Sequence[float],
        *,
        task: LMTask,
        rounds: int,
    ) -> None:
        self.base = task.base
        self.rounds = rounds
        self._chunks = chunks
        self._reference = reference
        self._stream = Replay(chunks)
        self.loop: OnlineLoop = assemble_loop(self._stream, learner, base=task.base, config=task.config)

    def reference_loss(self) -> float:
        return self._reference[self._stream.position - 1]

    def truth(self) -> dict[str, Any]:
        chunk = self._chunks[self._stream.position - 1]
        return {"segment": chunk.segment, "source": chunk.source}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._stream.position, "loop": self.loop.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._stream.position = state["position"]
        self.loop.load_state_dict(state["loop"])


class Replay:
    """An iterator over chunks that can be put anywhere."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self.position = 0

    def __iter__(self) -> "Replay":
        return self

    def __next__(self) -> Chunk:
        if self.position >= len(self._chunks):
            raise StopIteration
        self.position += 1
        return self._chunks[self.position - 1]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
