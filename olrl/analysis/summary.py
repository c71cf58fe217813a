"""What a run comes to, in numbers."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olrl.analysis.records import RunRecords
from olrl.control.decision import WINDOWS


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
    differs from the round before.
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
    ranges: dict[str, tuple[str, str]]
    moves: dict[str, int]

    @property
    def spent_share(self) -> float:
        """Cost spent as a share of the whole budget; a round's single step may exceed its budget."""
        return self.spent / self.budget


def summarise(run: RunRecords) -> Summary:
    """The totals of a run."""
    n, tenth = len(run), max(1, len(run) // 10)
    knobs = {"lr": run.lr, "batch_size": run.batch_size, "window": run.window}
    return Summary(
        rounds=n,
        n_bytes=int(run.n_bytes.sum()),
        loss_bpb=_bits_per_byte(run, (run.round >= 1) | (n == 1)),
        first_bpb=_bits_per_byte(run, np.arange(n) < tenth),
        last_bpb=_bits_per_byte(run, np.arange(n) >= n - tenth),
        nonfinite=int((~np.isfinite(run.loss_bpb)).sum()),
        updates=int(run.updates.sum()),
        skipped=int((~run.update).sum()),
        spent=float(run.spent.sum()),
        budget=float(run.config["run"]["budget"]) * n,
        alarms=dict(sorted(Counter(name for names in run.drift.values() for name in names).items())),
        alarm_rounds=len(run.drift),
        guard=dict(sorted(Counter(map(_without_numbers, run.guard.values())).items())),
        dead_letters=run.dead_letters,
        sources=_sources(run),
        ranges={
            "lr": (f"{run.lr.min():.3g}", f"{run.lr.max():.3g}"),
            "batch_size": (f"{run.batch_size.min():g}", f"{run.batch_size.max():g}"),
            "window": (_window(run.window_index.min()), _window(run.window_index.max())),
        },
        moves={name: int((np.diff(values) != 0).sum()) for name, values in knobs.items()},
    )


def _without_numbers(reason: str) -> str:
    """Reasons that differ in their numbers only are counted together."""
    return re.sub(r"\d[\d.,]*(e[-+]?\d+)?", "…", reason)


def _window(place: np.int64) -> str:
    return str(WINDOWS[int(place)] or "reservoir")


def _bits_per_byte(run: RunRecords, chosen: NDArray[np.bool_]) -> float:
    return float(np.average(run.charged_bpb[chosen], weights=run.n_bytes[chosen]))


def _sources(run: RunRecords) -> tuple[SourceSummary, ...]:
    names = np.array(run.source)
    return tuple(
        SourceSummary(
            source=name, rounds=int((names == name).sum()), loss_bpb=_bits_per_byte(run, names == name)
        )
        for name in dict.fromkeys(run.source)
    )
