"""Constant decisions side by side on a stream, and beside them learners that the policy steers."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olrl.assembly import LoopConfig
from olrl.control.coding import ActionCoding, Decisions
from olrl.control.decision import MAX_LR_NOTCHES, WINDOWS, Base
from olrl.envs.online_lm import EpisodeRanges
from olrl.monitor.feature_set import HAND_MADE, FeatureSet
from olrl.monitor.feature_table import INPUTS
from olrl.monitor.features import stack_signals

from .config import HindsightConfig
from .grounds import Ground

Floats = NDArray[np.float64]
Choose = Callable[[int, NDArray[np.float32], Mapping[str, Floats]], Decisions]
Act = Callable[[NDArray[np.float32]], NDArray[np.int64]]

RATE_OCTAVES = np.arange(-4.0, 5.0)  # of the tuned rate
START_OCTAVES = np.array([-3.0, -1.0, 1.0, 2.0, 3.0, 4.0, 6.0])  # in the first round alone
BATCHES = (1, 32)  # beside the tuned one
WINDOW_POSITIONS = (3, 7)
PAUSES = 6  # stretches in each of which one learner pauses, and with which another one begins to train


@dataclass(frozen=True, kw_only=True)
class StreamRuns:
    """What n learners saw and did on one stream of T decisions, F features an observation.

    `signals` is what observations were made from, as `stack_signals` has it; `bases` are rate, batch size and
    window of each learner's base. With them any set of features can be looked at again (`seen_as`). The first
    `N_CONSTANT` are the constant ones, in the order of `constants`; then come `N_PAUSED` that pause or begin late
    (`HindsightRunner.paused`), then those that the policy steers. `loss` has one column more than there were
    decisions. Where a learner stands *before* a decision: `octaves` of the tuned rate, `log_batch` (log2 of the
    batch size), `window` (position on its ladder). `spent` is the share of its budget that the round then spent.
    `familiar` says that the chunk observed last is text which the model was pretrained on.
    `price` and `share` (of the budget that the updates of a round spend at the tuned batch size) are of the whole
    run.
    """

    observations: NDArray[np.float32]  # (n, T, F)
    signals: Floats  # (n, T, inputs)
    bases: Floats  # (n, 3)
    loss: Floats  # (n, T + 1), nats per token
    octaves: Floats  # (n, T)
    log_batch: Floats  # (n, T)
    window: Floats  # (n, T)
    spent: Floats  # (n, T)
    familiar: NDArray[np.bool_]  # (n, T)
    price: Floats  # (n,)
    share: Floats  # (n,)

    def __add__(self, others: "StreamRuns") -> "StreamRuns":
        """These learners and behind them others, on the same stream."""
        pairs = {f.name: (getattr(self, f.name), getattr(others, f.name)) for f in fields(self)}
        return StreamRuns(**{name: np.concatenate(pair) for name, pair in pairs.items()})

    def seen_as(self, features: FeatureSet) -> "StreamRuns":
        """The same runs, observed through another set of features."""
        extractor = features.extractor(
            [
                Base(lr=float(lr), batch_size=int(batch_size), window=int(window))
                for lr, batch_size, window in self.bases
            ]
        )
        rounds = np.ascontiguousarray(self.signals.transpose(1, 2, 0))
        observed = [extractor.update(inputs) for inputs in rounds]
        return replace(self, observations=np.stack(observed, axis=1))

    def wandering(self, seed: int) -> "StreamRuns":
        """The same runs, had the rate wandered while a learner did not train: it makes no difference to any loss.

        A policy must know the way back from wherever it is when training goes on. `signals` and `octaves` tell of
        another rate after a round without training, a random walk of up to two octaves a round within ±6;
        observations are as they were until they are made anew (`seen_as`).
        """
        rng = np.random.default_rng(seed)
        n, rounds = self.octaves.shape
        steps = rng.integers(-2, 3, size=(n, rounds))
        steps[:, 0] = rng.integers(-MAX_LR_NOTCHES, MAX_LR_NOTCHES + 1, size=n)
        walk = np.empty((n, rounds))
        place = np.zeros(n)
        for t in range(rounds):
            walk[:, t] = place = np.clip(place + steps[:, t], -MAX_LR_NOTCHES, MAX_LR_NOTCHES)
        walk[:, 0] = 0.0
        walk[:, 1:][self.spent[:, :-1] > 0] = 0.0
        signals = self.signals.copy()
        signals[..., INPUTS.index("lr")] *= 2.0**walk
        return replace(self, signals=signals, octaves=self.octaves + walk)

    def save(self, path: Path) -> None:
        """Write, whole or not at all."""
        scratch = path.with_name(f".{path.name}.{os.getpid()}")  # not what is looked for as runs
        with scratch.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path) -> "StreamRuns":
        """From `save`; ValueError, OSError or KeyError for anything else."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A run that holds `base`, the first round at `first_lr`; with `update` false it never trains."""

    base: Base
    first_lr: float
    update: bool = True


def constants(fixed: Base) -> list[Constant]:
    """The constant runs: rates around the tuned one, batch sizes, windows, none at all, and wrong starts."""
    octaves = [replace(fixed, lr=fixed.lr * 2.0**octave) for octave in RATE_OCTAVES]
    batches = [replace(fixed, batch_size=size) for size in BATCHES]
    windows = [replace(fixed, window=WINDOWS[position]) for position in WINDOW_POSITIONS]
    held = [Constant(base=base, first_lr=base.lr) for base in (*octaves, *batches, *windows)]
    never = Constant(base=fixed, first_lr=fixed.lr, update=False)
    starts = [Constant(base=fixed, first_lr=fixed.lr * 2.0**octave) for octave in START_OCTAVES]
    return [*held, never, *starts]


N_CONSTANT = len(RATE_OCTAVES) + len(BATCHES) + len(WINDOW_POSITIONS) + 1 + len(START_OCTAVES)
N_PAUSED = 2 * PAUSES


def pauses(number: int, rounds: int) -> list[range]:
    """The rounds of each pause on stream `number`: a sixteenth of the run each, over its first three quarters.

    Where in its eighth a pause lies is drawn by the stream, so that pauses lie anywhere between two drifts.

    >>> pauses(0, 80)
    [range(0, 5), range(11, 16), range(24, 29), range(34, 39), range(40, 45), range(51, 56)]
    """
    length, apart = max(1, rounds // 16), max(1, rounds // 8)
    late = np.random.default_rng([number, 0x9A]).integers(apart - length + 1, size=PAUSES)
    starts = [k * apart + int(some) for k, some in enumerate(late)]
    return [range(start, start + length) for start in starts]


class HindsightRunner:
    """Makes the runs on the stream that `grounds` gives for a number, one stream at a time."""

    def __init__(
        self,
        grounds: Callable[[int], Ground],
        *,
        config: HindsightConfig,
        ranges: EpisodeRanges,
        features: FeatureSet = HAND_MADE,
    ) -> None:
        self._grounds = grounds
        self._config, self._ranges, self._features = config, ranges, features

    def held(self, number: int) -> StreamRuns:
        """The constant runs on stream `number`. No policy and no seed change them: they can be kept.

        They have bases too, right and wrong, since a policy must know what it sees from any base; all are at the
        default cost, to be comparable.
        """
        ground = self._grounds(number)
        held = constants(ground.fixed)
        bases, loops = self._comparable(ground, np.random.default_rng(number), len(held))
        return self._play(ground, bases, loops, lambda t, seen, signals: _decided(held, first=t == 0))

    def paused(self, number: int) -> StreamRuns:
        """Learners at the tuned constant that pause once, and others that only then begin to train.

        Bases and costs are as for the constant runs, and no policy and no seed change these either.
        """
        ground = self._grounds(number)
        trains = np.ones((N_PAUSED, self._config.rounds), dtype=bool)
        for k, rounds in enumerate(pauses(number, self._config.rounds)):
            trains[k, rounds.start : rounds.stop] = False
            trains[PAUSES + k, : rounds.start] = False
        bases, loops = self._comparable(ground, np.random.default_rng([number, 0x9B]), N_PAUSED)
        tuned = _in_force([ground.fixed] * N_PAUSED)
        return self._play(ground, bases, loops, lambda t, seen, signals: replace(tuned, update=trains[:, t]))

    def _comparable(
        self, ground: Ground, rng: np.random.Generator, n: int
    ) -> tuple[list[Base], list[LoopConfig]]:
        """Bases and loops of n learners: bases and missing signals are drawn, all are at the default cost."""
        bases, loops = [], []
        for _ in range(n):
            base, _cost, _price, masked = self._ranges.draw(rng, ground.fixed)
            bases.append(base)
            loops.append(replace(ground.loop, price=0.0, masked=masked))
        return bases, loops

    def steered(self, number: int, act: Act, coding: ActionCoding, *, seed: int) -> StreamRuns:
        """Learners that the policy steers, from bases and at costs and prices drawn by `seed`.

        `act` maps observations (n, F) to actions (n, heads) of `coding`.
        """
        ground, rng = self._grounds(number), np.random.default_rng([seed, number])
        bases, loops = [], []
        for _ in range(self._config.policy_lanes):
            base, cost, price, masked = self._ranges.draw(rng, ground.fixed)
            bases.append(base)
            loops.append(replace(ground.loop, cost=cost, price=price, masked=masked))
        standing = coding.start_at(bases)

        def choose(t: int, seen: NDArray[np.float32], signals: Mapping[str, Floats]) -> Decisions:
            return coding.apply(standing, self._explored(act(seen), coding, rng), signals)

        return self._play(ground, bases, loops, choose)

    def _play(
        self, ground: Ground, bases: list[Base], configs: list[LoopConfig], choose: Choose
    ) -> StreamRuns:
        n, every = len(bases), np.arange(len(bases))
        loops = ground.loops(bases, configs)
        features = self._features.extractor(bases)
        decisions = _in_force(bases)
        observed, measured, losses, states, spent = [], [], [], [], []
        for t in range(self._config.rounds + 1):
            inputs = stack_signals(loops.observe(every))
            signals = dict(zip(INPUTS, inputs, strict=True))
            losses.append(signals["loss_nats"].copy())
            if t == self._config.rounds:
                break
            observed.append(features.update(inputs))
            measured.append(inputs)
            states.append(_state(decisions, ground.fixed))
            decisions = choose(t, observed[-1], signals)
            records = loops.train(decisions)
            spent.append(
                [record.spent / one.cost.budget for record, one in zip(records, configs, strict=True)]
            )
        octaves, log_batch, window = np.array(states).transpose(1, 2, 0)
        share = [one.cost.spent(ground.fixed.batch_size) / one.cost.budget for one in configs]
        return StreamRuns(
            observations=np.stack(observed, axis=1),
            signals=np.stack(measured).transpose(2, 0, 1),
            bases=np.array([[base.lr, base.batch_size, base.window] for base in bases], dtype=np.float64),
            loss=np.stack(losses, axis=1),
            octaves=octaves,
            log_batch=log_batch,
            window=window,
            spent=np.array(spent).T,
            familiar=np.tile(ground.familiar[: self._config.rounds], (n, 1)),
            price=np.array([one.price for one in configs]),
            share=np.array(share),
        )

    def _explored(
        self, actions: NDArray[np.int64], coding: ActionCoding, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        actions = actions.copy()
        (which,) = np.nonzero(rng.random(len(actions)) < self._config.explore)
        actions[which, 0] = rng.integers(coding.nvec[0], size=len(which))
        return actions


def _state(decisions: Decisions, fixed: Base) -> list[Floats]:
    octaves = np.log2(decisions.lr / fixed.lr)
    position = np.array([WINDOWS.index(int(one)) for one in decisions.window], dtype=np.float64)
    return [octaves, np.log2(decisions.batch_size), position]


def _decided(held: Sequence[Constant], *, first: bool) -> Decisions:
    """What the constant runs hold."""
    rates = [constant.first_lr if first else constant.base.lr for constant in held]
    return replace(
        _in_force([constant.base for constant in held]),
        lr=np.array(rates),
        update=np.array([constant.update for constant in held]),
    )


def _in_force(bases: list[Base]) -> Decisions:
    return Decisions(
        lr=np.array([base.lr for base in bases]),
        batch_size=np.array([base.batch_size for base in bases]),
        window=np.array([base.window for base in bases]),
        update=np.ones(len(bases), dtype=bool),
    )
