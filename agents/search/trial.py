"""One trial of a search: a constant configuration plays the stream, and may be stopped early."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from olrl.analysis.records import UNIFORM_BPB
from olrl.control.decision import Base
from olrl.run_folder import iterate_json_lines
from olrl.streams.chunk import Chunk

from ..evaluation.play import Rollout, Trace
from ..rivals.entrant import Task
from ..rivals.held import Held

LOOKS = 10  # how often in a run it is asked whether to go on
State = Literal["complete", "pruned", "diverged"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A configuration and how it did.

    `loss_bpb` is prequential, bits a byte (a label, of a classifier), over the `rounds` that were played; after a
    run has diverged, each byte or label of the rest of its stream counts 8 bits, what a uniform predictor takes
    for a byte, and for one of the 256 classes that there may be. A trial that was stopped early ("pruned") so has a
    loss that is not comparable with the others'. `spent` are cost units, `signal_examples` those scored for
    signals. `places` is where it lies in the unit cube of the space. `metric` is the share of right answers of
    learners that answer, `macro_f1` a classifier's.
    """

    number: int
    places: Mapping[str, float]
    settings: Mapping[str, Any]
    loss_bpb: float
    state: State
    rounds: int
    spent: float
    examples: int
    updates: int
    signal_examples: int
    seconds: float
    losses: Mapping[int, float] = field(default_factory=dict)  # by rounds played, where it was looked
    metric: float | None = None
    macro_f1: float | None = None

    @property
    def base(self) -> Base:
        """The configuration."""
        return Base(**self.settings)

    @property
    def cost(self) -> float:
        """Units, passes for signals included: one over an example costs a unit."""
        return self.spent + self.signal_examples

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Trial":
        """From `to_dict()` after a way through JSON."""
        return cls(**{**row, "losses": {int(rounds): loss for rounds, loss in row["losses"].items()}})


def play_trial(
    task: Task,
    base: Base,
    *,
    number: int,
    places: Mapping[str, float],
    keep_going: Callable[["Trial"], bool] = lambda so_far: True,
) -> Trial:
    """Play a constant over a task's chunks; `keep_going` is asked ten times, with the trial so far.

    A run that has diverged is not played on.
    """
    held = Held(base=base)
    rollout = task.rollout(base=base)
    every = max(1, -(-len(task.chunks) // LOOKS))
    losses: dict[int, float] = {}
    while True:
        trial = _advanced(rollout, held, every, task, losses, number=number, places=places)
        if trial.state == "diverged" or trial.rounds == len(task.chunks):
            return trial
        if not keep_going(trial):
            return trial


def _advanced(
    rollout: Rollout,
    held: Held,
    rounds: int,
    task: Task,
    losses: dict[int, float],
    *,
    number: int,
    places: Mapping[str, float],
) -> Trial:
    """The trial after some more rounds; `losses` takes in how it does then."""
    for _ in range(rounds):
        if not rollout.round(held):
            break
    trace = rollout.trace()
    whole = len(trace.loss_bpb) == len(task.chunks)
    losses[len(trace.loss_bpb)] = _loss_bpb(trace, task)
    state: State = "diverged" if trace.diverged else "complete" if whole else "pruned"
    return Trial(
        number=number,
        places=dict(places),
        settings=asdict(held.base),
        loss_bpb=losses[len(trace.loss_bpb)],
        state=state,
        rounds=len(trace.loss_bpb),
        spent=trace.total_spent,
        examples=trace.examples,
        updates=sum(trace.updates),
        signal_examples=trace.signal_examples,
        seconds=round(trace.seconds, 3),
        losses=dict(losses),
        metric=trace.accuracy,
        macro_f1=trace.macro_f1,
    )


def _loss_bpb(trace: Trace, task: Task) -> float:
    """Of the rounds played; of a run that has diverged, of all, those not played at 8 bits a byte or label."""
    if not trace.diverged:
        return trace.mean_loss_bpb
    played = len(trace.loss_bpb)
    rest = sum(_weight(chunk) for chunk in task.chunks[max(played, 1) :])
    shown = sum(trace.n_bytes[1:])  # labels, of a classifier
    bits = sum(loss * n for loss, n in zip(trace.loss_bpb[1:], trace.n_bytes[1:], strict=True))
    return (bits + UNIFORM_BPB * rest) / (shown + rest) if shown + rest else UNIFORM_BPB


def _weight(chunk: Chunk) -> int:
    """What a round's loss counts in a mean: its bytes, or its labels where a loss is one of labels."""
    return int(chunk.n_bytes.sum()) if chunk.per_byte else len(chunk.tokens)


class TrialLog:
    """Trials in a file of JSON lines, each there as soon as it is over; those of an earlier search come first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = list(iterate_json_lines(path)) if path.is_file() else []
        self.trials = [Trial.from_dict(row) for row in kept]
        text = "".join(_line(trial) for trial in self.trials)
        path.write_text(text, encoding="utf-8")  # without a last line that a kill has cut off

    def add(self, trial: Trial) -> None:
        """Append one."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(trial))
        self.trials.append(trial)


def _line(trial: Trial) -> str:
    return json.dumps(trial.to_dict(), allow_nan=False) + "\n"


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of least loss among those that were played to the end, the earliest among equals."""
    whole = [trial for trial in trials if trial.state != "pruned"]
    return min(whole, key=lambda trial: (trial.loss_bpb, trial.number))
