"""One stream of each kind of drift, round by round: what a figure of losses and decisions is drawn from."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from olrl.analysis.compare_figure import Curve, figure_compare
from olrl.streams.scenarios import SCENARIOS

from .compare import Outcome
from .entrants import ENTRANTS
from .play import Trace
from .summary import BASE, FIXED

OURS = ("policy", "default")  # what a figure is about: drawn wide, with its decisions
KNOBS = ("loss_bpb", "lr", "batch_size", "window")
UPDATE = "update"  # results of before 2026-11-28 are without it


@dataclass(frozen=True, kw_only=True)
class Example:
    """Entrants on one stream: for each the loss (bits a byte) and the decisions of every round.

    `segments` are the true changes as (first round, source of most of the segment's rounds, or "mixed").
    """

    stream: str
    kind: str
    base_lr_mult: float
    segments: tuple[tuple[int, str], ...]
    rounds: Mapping[str, Mapping[str, tuple[float, ...]]]
    unit: str = "byte"  # what a loss is of: "byte" or "label"

    @property
    def title(self) -> str:
        """What the figure shows."""
        told = {
            "none": "no drift",
            "given": "a given stream",
            "time": "text in its order of time",
            "visits": "visits away from home",
            **{name: name for name in SCENARIOS},
        }
        drift = "" if self.unit == "label" else " drift"
        return f"{told.get(self.kind, self.kind + drift)}: {self.stream}, base rate ×{self.base_lr_mult:g}"

    def figure(self, *, entrants: Collection[str] = ()) -> Figure:
        """Losses and decisions, drift marked; of all entrants, or of some."""
        shown = [name for name in self.rounds if not entrants or name in entrants]
        reference = next((name for name in (FIXED, BASE) if name in shown and len(shown) > 1), None)
        return figure_compare(
            {name: Curve(**self.rounds[name], highlight=name in OURS) for name in shown},
            title=self.title,
            segments=self.segments,
            reference=reference,
            unit=self.unit,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; losses and rates to five digits."""
        rounds = {
            name: {knob: [float(f"{value:.5g}") for value in values] for knob, values in of.items()}
            for name, of in self.rounds.items()
        }
        return {
            "stream": self.stream,
            "kind": self.kind,
            "base_lr_mult": self.base_lr_mult,
            "segments": self.segments,
            "rounds": rounds,
            "unit": self.unit,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Example":
        """From `to_dict()` after a way through JSON."""
        rounds = {
            name: {knob: tuple(of[knob]) for knob in (*KNOBS, UPDATE) if knob in of}
            for name, of in row["rounds"].items()
        }
        segments = tuple((int(start), str(source)) for start, source in row["segments"])
        return cls(**{**row, "rounds": rounds, "segments": segments})


def examples_of(outcome: Outcome) -> list[Example]:
    """The first stream of each kind: base multiplier nearest to 1, first policy, first seed."""
    config = outcome.config
    mult = min(config.base_lr_mult, key=lambda m: abs(m - 1))
    shown: dict[str, str] = {}  # kind -> stream
    for job, _ in outcome.runs:
        shown.setdefault(job.stream.kind, job.stream.name)
    runs = [
        (job, trace)
        for job, trace in outcome.runs
        if job.seed == config.seed
        and (ENTRANTS[job.entrant].policy != "given" or job.policy == config.policies[0])
        and (job.base_lr_mult == mult or not ENTRANTS[job.entrant].uses_base)
    ]
    return [
        Example(
            stream=stream,
            kind=kind,
            base_lr_mult=mult,
            segments=segments_of(next(trace for job, trace in runs if job.stream.name == stream)),
            unit=next(trace.loss_unit for job, trace in runs if job.stream.name == stream),
            rounds=_rounds((job.entrant, trace) for job, trace in runs if job.stream.name == stream),
        )
        for kind, stream in shown.items()
    ]


def _rounds(traces: Iterable[tuple[str, Trace]]) -> dict[str, dict[str, tuple[float, ...]]]:
    return {name: {knob: getattr(trace, knob) for knob in (*KNOBS, UPDATE)} for name, trace in traces}


def segments_of(trace: Trace) -> tuple[tuple[int, str], ...]:
    """First round of each true segment, and the source of three in five of its rounds, or "mixed"."""
    rounds: dict[int, list[int]] = {}
    for k, segment in enumerate(trace.segment):
        rounds.setdefault(segment, []).append(k)
    return tuple((of[0], _source([trace.source[k] for k in of])) for of in rounds.values())


def _source(sources: Sequence[str]) -> str:
    name, count = Counter(sources).most_common(1)[0]
    return name if count >= 0.6 * len(sources) else "mixed"
