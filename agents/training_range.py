"""Measuring the range a policy was trained in: it plays training streams once more, and what it sees is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olrl.assembly import LoopConfig
from olrl.control.decision import Base
from olrl.control.policy import FrozenPolicy
from olrl.control.training_range import TrainingRange
from olrl.envs.online_lm import EpisodeRanges, OnlineLMEnv
from olrl.monitor.feature_table import INPUTS
from olrl.monitor.features import FeatureExtractor, stack_signals
from olrl.task_kinds import TaskKind

from .hindsight.grounds import Ground, text_grounds
from .hindsight.label_streams import label_grounds

Floats = NDArray[np.float64]
SETTLING = 10  # rounds before averages mean anything; the guard waits as long


@dataclass(frozen=True, kw_only=True)
class RangeConfig:
    """What is played: `streams` of each of `models` and `labels` of labels, `rounds` long, by `lanes` learners.

    Streams of labels are those from number `first_labels` on: another split than training they do not have.

    Bases, costs, prices and missing signals are drawn as in training (`EpisodeRanges`), but for the first lane of
    each stream, which has the tuned base and nothing missing, as most users have.
    """

    models: tuple[str, ...] = ("pico", "nano")
    split: str = "train"
    streams: int = 10
    labels: int = 0
    first_labels: int = 0
    rounds: int = 80
    lanes: int = 5
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Signals of one stream's learners as features read them, shape (rounds, inputs, lanes), and their bases.

    `task` is what they learn, as `olrl.tasks` names it.
    """

    inputs: Floats
    bases: Sequence[Base]
    task: TaskKind

    def observations(self) -> Floats:
        """The features before clipping, shape (rounds, lanes, features)."""
        features = FeatureExtractor.for_bases(self.bases)
        seen = []
        for inputs in self.inputs:
            features.update(inputs)
            seen.append(features.unclipped())
        return np.stack(seen)


def measure_range(
    policy: FrozenPolicy, config: RangeConfig, *, progress: Callable[[str], None] = lambda line: None
) -> TrainingRange:
    """The range of what `policy` sees where it steers, once its averages have settled."""
    return range_of(record(policy, config, progress=progress))


def range_of(recordings: Sequence[Recording]) -> TrainingRange:
    """The range of what recordings hold by task, once their averages have settled."""
    seen: dict[str, list[Floats]] = {}
    for one in recordings:
        observations = one.observations()[SETTLING:]
        seen.setdefault(one.task, []).append(observations.reshape(-1, observations.shape[-1]))
    return TrainingRange.of({task: np.concatenate(several) for task, several in seen.items()})


def record(
    policy: FrozenPolicy, config: RangeConfig, *, progress: Callable[[str], None] = lambda line: None
) -> list[Recording]:
    """The signals while `policy` steers, stream by stream; those of lanes that break are cut from there on."""
    recordings = []
    for model in config.models:
        env = OnlineLMEnv(
            model=model, split=config.split, rounds=config.rounds, n_streams=config.streams,
            stream_seed=config.seed,
        )  # fmt: skip
        grounds = text_grounds(env)
        for number in range(config.streams):
            recordings.append(_record(policy, "lm", grounds(number), env.ranges, number, config))
            progress(f"{model} {config.split}: stream {number + 1} of {config.streams}")
    grounds = label_grounds(config.rounds)
    for k in range(config.labels):
        number = config.first_labels + k
        recordings.append(_record(policy, "classify", grounds(number), EpisodeRanges(), number, config))
        progress(f"labels: stream {k + 1} of {config.labels}")
    return recordings


def _record(
    policy: FrozenPolicy,
    task: TaskKind,
    ground: Ground,
    ranges: EpisodeRanges,
    number: int,
    config: RangeConfig,
) -> Recording:
    bases, configs = [], []
    for lane in range(config.lanes):
        rng = np.random.default_rng([config.seed, number, lane])
        base, loop = _lane(ground, ranges, rng, first=lane == 0)
        bases.append(base)
        configs.append(loop)
    loops, every = ground.loops(bases, configs), np.arange(config.lanes)
    features, standing = FeatureExtractor.for_bases(bases), policy.coding.start_at(bases)
    recorded = []
    for _ in range(config.rounds):
        inputs = stack_signals(loops.observe(every))
        recorded.append(inputs)
        by_name = dict(zip(INPUTS, inputs, strict=True))
        loops.train(policy.coding.apply(standing, policy.act(features.update(inputs)), by_name))
    return Recording(inputs=np.stack(recorded), bases=bases, task=task)


def _lane(
    ground: Ground, ranges: EpisodeRanges, rng: np.random.Generator, *, first: bool
) -> tuple[Base, LoopConfig]:
    if first:
        return ground.fixed, ground.loop
    base, cost, price, masked = ranges.draw(rng, ground.fixed)
    return base, replace(ground.loop, cost=cost, price=price, masked=masked)
