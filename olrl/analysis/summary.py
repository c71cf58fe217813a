"""What a run comes to, in numbers."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.analysis.confusion import ConfusionCounts
from olrl.analysis.privacy import is_private
from olrl.analysis.records import BYTE, RunRecords, unit_of
from olrl.control.decision import WINDOWS

KNOBS = ("lr", "batch_size", "window_index")
MAX_SOURCES = 1000  # told apart; a folder may hold a million files
OTHER_SOURCES = "(all other sources)"


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """Rounds that came (mostly) from one source, and the loss on them in bits per byte."""

    source: str
    rounds: int
    loss_bpb: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Totals of a run.

    `loss_bpb` is the prequential loss, bits per byte: of every chunk before any training on it, weighted by
    bytes, from round 1 on (round 0 comes before the first decision and says nothing of it; a run of a
    single round is given by that round). Rounds whose loss was not finite, counted in `nonfinite`, are
    charged 8 bits a byte. `first_bpb` and `last_bpb` are the same over the first and the last tenth of the
    rounds. `spent` and `budget` are cost units over the whole run. `ranges` holds each knob's lowest and
    highest value as text (the reservoir is the largest window), `moves` counts the rounds in which a knob
    differs from the round before; `reselections` counts why a classifier's text features were chosen anew.
    Of more than 1,000 sources the later ones are counted as one.
    """

    rounds: int
    n_bytes: int
    loss_bpb: float
    first_bpb: float
    last_bpb: float
    nonfinite: int
    updates: int
    skipped: int
    spent: float
    budget: float
    alarms: dict[str, int]
    alarm_rounds: int
    guard: dict[str, int]
    dead_letters: dict[str, int]
    sources: tuple[SourceSummary, ...]
    unit: str  # what a loss is of, and what `n_bytes` counts: bytes, or a classifier's labels
    accuracy: float | None
    answers: ConfusionCounts | None
    ranges: dict[str, tuple[str, str]]
    moves: dict[str, int]
    reselections: dict[str, int] = field(default_factory=dict)
    private: bool = False  # then losses were withheld, and what stands for them here means nothing

    @property
    def guard_rounds(self) -> int:
        """Rounds in which the guard intervened."""
        return sum(self.guard.values())

    @property
    def spent_share(self) -> float:
        """Cost spent as a share of the whole budget; a round's single step may exceed its budget."""
        return self.spent / self.budget

    def results(self) -> dict[str, float]:
        """What runs are compared by, as TensorBoard names it; a private run's loss is not there."""
        answered = {} if self.accuracy is None else {"result/accuracy": self.accuracy}
        if self.answers is not None:
            answered["result/macro_f1"] = self.answers.macro_f1
        loss = "result/loss_bpb" if self.unit == BYTE else "result/loss_bits_per_label"
        return {
            **({} if self.private else {loss: self.loss_bpb}),
            **answered,
            "result/spent": self.spent,
            "result/saved_share": 1.0 - self.spent_share,
            "result/alarm_rounds": float(self.alarm_rounds),
            "result/guard_rounds": float(self.guard_rounds),
        }


def summarise(run: RunRecords) -> Summary:
    """The totals of a run of which all rounds are at hand."""
    summariser = Summariser(rounds=len(run))
    summariser.add(run)
    return summariser.summary()


class Summariser:
    """Totals of a run of `rounds` rounds, taken in block by block; holds no more for a longer run.

    With None the run goes on, and its totals are those so far, its tenths to a thousandth of it.
    """

    def __init__(self, *, rounds: int | None) -> None:
        if rounds is not None and rounds < 1:
            raise ValueError(f"a run has at least 1 round, not {rounds!r}")
        tenth = max(1, (rounds or 0) // 10)
        self._rounds = rounds
        self._first, self._last = tenth, (rounds or 0) - tenth
        self._stretches = _Stretches()
        self._seen = 0
        self._before: RunRecords | None = None  # the last round of the blocks so far
        self._config: dict[str, Any] = {}
        self._dead_letters: dict[str, int] = {}
        self._answers = ConfusionCounts()
        self._hits = _Total()
        self._sums: Counter[str] = Counter()
        self._spent = 0.0
        self._losses = {name: _Mean() for name in ("all", "first", "last")}
        self._sources: dict[str, _Mean] = {}
        self._alarms: Counter[str] = Counter()
        self._guard: Counter[str] = Counter()
        self._reselections: Counter[str] = Counter()
        self._moves = dict.fromkeys(KNOBS, 0)
        self._ranges: dict[str, tuple[float, float]] = {}

    def add(self, block: RunRecords) -> None:
        """Take in the next rounds."""
        place = self._seen + np.arange(len(block))
        if self._rounds is None:
            self._stretches.add(block, place)
        self._losses["all"].add(block, (block.round >= 1) | (self._rounds == 1))
        self._losses["first"].add(block, place < self._first)
        self._losses["last"].add(block, place >= self._last)
        self._sums += Counter(
            n_bytes=int(block.n_bytes.sum()),
            nonfinite=int(block.loss_is_lost.sum()),
            updates=int(block.updates.sum()),
            skipped=int((~block.update).sum()),
            alarm_rounds=len(block.drift),
        )
        after_first = (block.round >= 1) | (self._rounds == 1)
        self._hits.add(block.metric[after_first])
        for counts in (block.judged[k] for k in np.flatnonzero(after_first) if block.judged):
            self._answers.add(counts)
        self._spent += float(block.spent.sum())
        self._alarms.update(name for names in block.drift.values() for name in names)
        self._guard.update(map(_without_numbers, block.guard.values()))
        self._reselections.update(block.reselected.values())
        self._add_sources(block)
        self._add_knobs(block)
        self._config, self._dead_letters = block.config, block.dead_letters
        self._before = block.take(np.array([len(block) - 1]))
        self._seen += len(block)

    def _add_sources(self, block: RunRecords) -> None:
        names = np.array(block.source)
        for name in dict.fromkeys(block.source):
            known = name in self._sources or len(self._sources) < MAX_SOURCES
            self._sources.setdefault(name if known else OTHER_SOURCES, _Mean()).add(block, names == name)

    def _add_knobs(self, block: RunRecords) -> None:
        for name in KNOBS:
            values = getattr(block, name)
            before = values[:1] if self._before is None else getattr(self._before, name)
            self._moves[name] += int((np.diff(values, prepend=before) != 0).sum())
            low, high = self._ranges.get(name, (values[0], values[0]))
            self._ranges[name] = min(low, values.min()), max(high, values.max())

    def summary(self) -> Summary:
        """The totals; AssertionError unless all rounds were taken in, one at least."""
        assert self._seen == (self._rounds or max(self._seen, 1)), f"{self._seen} of {self._rounds} rounds"
        ranges, loss = self._ranges, self._losses
        first, last = (
            self._stretches.tenths() if self._rounds is None else (loss["first"].value, loss["last"].value)
        )
        return Summary(
            rounds=self._seen,
            n_bytes=self._sums["n_bytes"],
            loss_bpb=first if self._seen == 1 else loss["all"].value,
            first_bpb=first,
            last_bpb=last,
            nonfinite=self._sums["nonfinite"],
            updates=self._sums["updates"],
            skipped=self._sums["skipped"],
            spent=self._spent,
            budget=float(self._config["run"]["budget"]) * self._seen,
            alarms=dict(sorted(self._alarms.items())),
            alarm_rounds=self._sums["alarm_rounds"],
            guard=dict(sorted(self._guard.items())),
            dead_letters=self._dead_letters,
            sources=tuple(
                SourceSummary(source=name, rounds=mean.rounds, loss_bpb=mean.value)
                for name, mean in self._sources.items()
            ),
            unit=unit_of(self._config),
            accuracy=self._hits.mean,
            answers=self._answers if self._answers.total else None,
            ranges={
                "lr": (f"{ranges['lr'][0]:.3g}", f"{ranges['lr'][1]:.3g}"),
                "batch_size": (f"{ranges['batch_size'][0]:g}", f"{ranges['batch_size'][1]:g}"),
                "window": (_window(ranges["window_index"][0]), _window(ranges["window_index"][1])),
            },
            moves={name.removesuffix("_index"): count for name, count in self._moves.items()},
            reselections=dict(sorted(self._reselections.items())),
            private=is_private(self._config),
        )


class _Stretches:
    """Losses and bytes by stretches of equal length, twice as long whenever there are more than 2,000."""

    _MOST = 2000

    def __init__(self) -> None:
        self._length = 1
        self._rounds = 0
        self._bits, self._bytes = np.zeros(self._MOST), np.zeros(self._MOST)

    def add(self, block: RunRecords, place: NDArray[np.int64]) -> None:
        """Take in rounds; `place` counts them from 0, in order."""
        self._rounds = int(place[-1]) + 1
        while self._rounds > self._MOST * self._length:
            self._length *= 2
            for sums in (self._bits, self._bytes):
                half = sums.reshape(-1, 2).sum(axis=1)
                sums[: len(half)], sums[len(half) :] = half, 0.0
        np.add.at(self._bits, place // self._length, block.charged_bpb * block.n_bytes)
        np.add.at(self._bytes, place // self._length, block.n_bytes)

    def tenths(self) -> tuple[float, float]:
        """Bits per byte in the first and in the last tenth so far."""
        used = -(-self._rounds // self._length)
        tenth = max(1, round(self._rounds / 10 / self._length))
        first, last = slice(0, tenth), slice(max(used - tenth, 0), used)
        return tuple(float(self._bits[s].sum() / self._bytes[s].sum()) for s in (first, last))  # type: ignore[return-value] # two


class _Total:
    """The mean of what is a number."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, values: NDArray[np.float64]) -> None:
        there = values[np.isfinite(values)]
        self._sum += float(there.sum())
        self._count += len(there)

    @property
    def mean(self) -> float | None:
        return self._sum / self._count if self._count else None


class _Mean:
    """Bits per byte over rounds, weighted by bytes."""

    def __init__(self) -> None:
        self.rounds = 0
        self._bits = self._bytes = 0.0

    def add(self, block: RunRecords, chosen: NDArray[np.bool_]) -> None:
        weights = block.n_bytes[chosen]
        self.rounds += len(weights)
        self._bits += float((block.charged_bpb[chosen] * weights).sum())
        self._bytes += float(weights.sum())

    @property
    def value(self) -> float:
        return self._bits / self._bytes


def _without_numbers(reason: str) -> str:
    """Reasons that differ in their numbers only are counted together."""
    return re.sub(r"(?<!\w)-?\d[\d.,]*(e[-+]?\d+)?", "…", reason)


def _window(place: float) -> str:
    return str(WINDOWS[int(place)] or "reservoir")
