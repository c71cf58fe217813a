"""One entrant on one stream."""

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from olrl.analysis.confusion import ConfusionCounts
from olrl.analysis.records import UNIFORM_BPB
from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard, GuardSettings
from olrl.learners.causal_lm import CausalLMLearner, OptimizerMaker
from olrl.learners.learner import Learner
from olrl.learners.optimizer import OptimizerConfig
from olrl.loop import RoundRecord, loss_of
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk

from .forgetting import HeldOut, forgetting_bpb

# A loss above this is no bad spell: without it one lost run would be all of a mean.
LOST_BPB = 2 * UNIFORM_BPB


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one run did, round by round.

    `loss_bpb` holds the uniform predictor's 8 bits from the round on at which a run diverged: its loss was not
    finite, or above 16 bits. `spent` are the cost units of the rounds shown. What an entrant spent beside them is
    not hidden: `shadow_examples` were trained on by other learners while the run lasted, `trial_examples` in
    tries of which only the best is shown, and `extra_spent` are the cost units of both. `signal_examples` went
    through a model for signals, or to score what is not shown.

    `forgetting_bpb` is the loss, at the end, on other text of the domains that the stream has left, bits a byte:
    the mean over these; None for a stream that has left none.

    A classifier's losses stand in `loss_bpb` too, in bits a label, and `n_bytes` counts labels then;
    `loss_unit` says so. `metric` is the share of right answers of each round, of learners that answer;
    `confusion` counts what a classifier predicted from round 1 on, as (class, predicted class, documents).
    """

    loss_bpb: tuple[float, ...]
    n_bytes: tuple[int, ...]
    lr: tuple[float, ...]
    batch_size: tuple[int, ...]
    window: tuple[int, ...]
    update: tuple[bool, ...]
    updates: tuple[int, ...]
    spent: tuple[float, ...]
    alarms: tuple[tuple[str, ...], ...]
    guard: tuple[str | None, ...]
    source: tuple[str, ...]
    segment: tuple[int, ...]
    signal_examples: int
    seconds: float
    diverged: bool
    shadow_examples: int = 0
    trial_examples: int = 0
    extra_spent: float = 0.0
    forgetting_bpb: float | None = None
    loss_unit: str = "byte"
    metric: tuple[float | None, ...] = ()
    confusion: tuple[tuple[int, int, int], ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Mean share of right answers from round 1 on; None for learners that give none."""
        found = [each for each in self.metric[min(1, len(self.metric) - 1) :] if each is not None]
        return sum(found) / len(found) if found else None

    @property
    def macro_f1(self) -> float | None:
        """F1 as a mean over classes; None for what is no classifier."""
        counts = ConfusionCounts()
        counts.add(self.confusion)
        return counts.macro_f1 if counts.total else None

    @property
    def total_spent(self) -> float:
        """Cost units of everything: the rounds shown, shadow learners and trials."""
        return sum(self.spent) + self.extra_spent

    @property
    def total_cost(self) -> float:
        """The same with the passes for signals: one over an example costs what it costs in a batch, a unit."""
        return self.total_spent + self.signal_examples

    @property
    def examples(self) -> int:
        """Examples that the rounds shown trained on."""
        return sum(steps * size for steps, size in zip(self.updates, self.batch_size, strict=True))

    @property
    def mean_loss_bpb(self) -> float:
        """Prequential loss, bits a byte, byte-weighted from round 1 on; that of round 0 if there is no other."""
        first = min(1, len(self.loss_bpb) - 1)
        bits = sum(loss * n for loss, n in zip(self.loss_bpb[first:], self.n_bytes[first:], strict=True))
        return bits / sum(self.n_bytes[first:])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for the cache."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Trace":
        """From `to_dict()` after a way through JSON."""
        row = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
        nested: dict[str, Any] = {
            name: tuple(tuple(each) for each in row[name]) for name in ("alarms", "confusion") if name in row
        }
        return cls(**{**row, **nested})


LearnerMaker = Callable[[torch.nn.Module, OptimizerConfig | OptimizerMaker | None], Learner]


def _language_learner(model: torch.nn.Module, optimizer: OptimizerConfig | OptimizerMaker | None) -> Learner:
    return CausalLMLearner(model, optimizer=optimizer)


class LearnerPool:
    """Learners of one model, each as the model was when the pool was made; `make` makes them of it.

    One learner with the usual optimizer is kept and put back to the initial weights before each run. `model`
    becomes its property: only the pool may train it.
    """

    def __init__(self, model: torch.nn.Module, make: LearnerMaker = _language_learner) -> None:
        self._pristine = copy.deepcopy(model)
        self._make = make
        self._learner = make(model, None)
        self._initial = {"values": self._learner.state_dict()["values"]}

    def fresh(self, optimizer: OptimizerConfig | OptimizerMaker | None = None) -> Learner:
        """A learner as it is at first: initial weights, no moments, no last move.

        With an optimizer of its own it is a new one; else the one that is kept, which the last to have asked
        for it must have done with.
        """
        if optimizer is not None:
            return self._make(copy.deepcopy(self._pristine), optimizer)
        self._learner.load_state_dict(self._initial)
        return self._learner


class _Seekable(Iterator[Chunk]):
    """Chunks that can be played again from any place."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.position = 0
        self._chunks = chunks

    def __next__(self) -> Chunk:
        if self.position >= len(self._chunks):
            raise StopIteration
        self.position += 1
        return self._chunks[self.position - 1]


# An entrant is judged by what it decides: its jumps are its own affair.
LENIENT = GuardSettings(lr_up=4096, lr_down=4096, batch_step=64, window_steps=7)


class Rollout:
    """A run under way: a learner on chunks, behind a guard, and what has been recorded so far.

    `round` plays one round under a controller. Between two rounds the whole run can be put back to where it
    was at a `snapshot`, and everything goes on from there to the bit. What is undone so is not forgotten: who
    goes back says with `charge` whether shadow learners or trials are to pay for it. `held_out` is what `trace`
    measures forgetting on.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        learner: Learner,
        *,
        base: Base,
        config: LoopConfig,
        held_out: HeldOut | None = None,
    ) -> None:
        self._started = time.perf_counter()
        self._chunk = config.chunk
        self._held_out = held_out or {}
        self._stream = _Seekable(chunks)
        self._loop = assemble_loop(self._stream, learner, base=base, config=config)
        self._guard = Guard(base=base, settings=LENIENT)
        self._rows: list[dict[str, Any]] = []
        self._shadow_examples = self._trial_examples = self._unseen_signal_examples = 0
        self._extra_spent = 0.0

    @property
    def rounds(self) -> int:
        """Rounds played so far."""
        return len(self._rows)

    def round(self, controller: Controller) -> bool:
        """Play one round; false at the end of the chunks, where there is none."""
        signals = self._loop.observe()
        if signals is None:
            return False
        decision, reason = self._guard.check(controller.decide(signals), signals)
        self._rows.append(_row(signals, decision, reason, self._loop.apply(decision)))
        return True

    def snapshot(self) -> dict[str, Any]:
        """All of it between two rounds, but what was charged."""
        return {
            "loop": self._loop.state_dict(),
            "guard": self._guard.state_dict(),
            "position": self._stream.position,
            "rows": list(self._rows),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of this rollout."""
        self._loop.load_state_dict(snapshot["loop"])
        self._guard.load_state_dict(snapshot["guard"])
        self._stream.position = snapshot["position"]
        self._rows = list(snapshot["rows"])

    def losses(self, first: int) -> list[tuple[float, int]]:
        """Loss in bits a byte, as a trace would show it, and bytes of the rounds from `first` on."""
        return [(row["loss_bpb"], row["n_bytes"]) for row in _charged(self._rows)[0][first:]]

    def charge(self, first: int, *, trial: bool) -> None:
        """Let the rounds from `first` on, about to be undone, be paid for: as a trial, or by a shadow."""
        undone = self._rows[first:]
        examples = sum(row["updates"] * row["batch_size"] for row in undone)
        if trial:
            self._trial_examples += examples
        else:
            self._shadow_examples += examples
        self._extra_spent += sum(row["spent"] for row in undone)
        self._unseen_signal_examples += sum(row["signal_examples"] + self._chunk for row in undone)

    def trace(self) -> Trace:
        """What has been recorded, and what the learner still knows; ValueError if nothing was played."""
        if not self._rows:
            raise ValueError("the stream has not enough text for one chunk")
        rows, diverged = _charged(self._rows)
        shown = [name for name in rows[0] if name not in ("signal_examples", "judged")]
        counts = Counter[tuple[int, int]]()
        for row in rows[min(1, len(rows) - 1) :]:
            counts.update({(label, guess): n for label, guess, n in row["judged"]})
        return Trace(
            **{name: tuple(row[name] for row in rows) for name in shown},
            signal_examples=sum(row["signal_examples"] for row in rows) + self._unseen_signal_examples,
            seconds=time.perf_counter() - self._started,
            diverged=diverged,
            shadow_examples=self._shadow_examples,
            trial_examples=self._trial_examples,
            extra_spent=self._extra_spent,
            loss_unit="label" if counts else "byte",
            confusion=tuple((label, guess, n) for (label, guess), n in sorted(counts.items())),
            forgetting_bpb=forgetting_bpb(self._loop.learner, self._held_out),
        )


def play(
    controller: Controller,
    chunks: Sequence[Chunk],
    learner: Learner,
    *,
    base: Base,
    config: LoopConfig,
    held_out: HeldOut | None = None,
) -> Trace:
    """Run a controller under the guard over all chunks with a fresh learner."""
    rollout = Rollout(chunks, learner, base=base, config=config, held_out=held_out)
    while rollout.round(controller):
        pass
    return rollout.trace()


def _charged(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """The rows, from a lost loss on with the uniform predictor's, and whether there was one."""
    lost = [row["loss_bpb"] is None or row["loss_bpb"] > LOST_BPB for row in rows]
    first = lost.index(True) if True in lost else len(rows)
    return [*rows[:first], *({**row, "loss_bpb": UNIFORM_BPB} for row in rows[first:])], first < len(rows)


def _row(signals: Signals, decision: Decision, reason: str | None, record: RoundRecord) -> dict[str, Any]:
    loss = loss_of(record)
    assert loss is None or math.isfinite(loss)
    return {
        "loss_bpb": loss,
        "n_bytes": sum(count for _, _, count in record.judged) or record.n_bytes,
        "metric": signals.metric,
        "judged": record.judged,
        "lr": decision.lr,
        "batch_size": decision.batch_size,
        "window": decision.window,
        "update": decision.update,
        "updates": record.report.updates,
        "spent": record.spent,
        "alarms": signals.alarms,
        "guard": reason,
        "source": record.source,
        "segment": record.segment,
        "signal_examples": record.signal_examples,
    }
