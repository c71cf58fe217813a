"""One entrant on one stream."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from olrl.analysis.records import UNIFORM_BPB
from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.control.guard import Guard
from olrl.learners.causal_lm import CausalLMLearner
from olrl.loop import OnlineLoop
from olrl.streams.chunk import Chunk

# A loss above this is no bad spell: without it one lost run would be all of a mean.
LOST_BPB = 2 * UNIFORM_BPB


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one run did, round by round.

    `loss_bpb` holds the uniform predictor's 8 bits from the round on at which a run diverged: its loss was not
    finite, or above 16 bits.
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
        return cls(**{**row, "alarms": tuple(tuple(names) for names in row["alarms"])})


class LearnerPool:
    """One learner, put back to the model's initial weights before each run."""

    def __init__(self, learner: CausalLMLearner) -> None:
        self._learner = learner
        self._initial = {"values": learner.state_dict()["values"]}

    def fresh(self) -> CausalLMLearner:
        """The learner as it was at first: initial weights, no moments, no last move."""
        self._learner.load_state_dict(self._initial)
        return self._learner


def play(
    controller: Controller,
    chunks: Sequence[Chunk],
    learner: CausalLMLearner,
    *,
    base: Base,
    config: LoopConfig,
) -> Trace:
    """Run a controller under the guard over all chunks with a fresh learner."""
    started = time.perf_counter()
    loop = assemble_loop(iter(chunks), learner, base=base, config=config)
    guard = Guard(base=base)
    rows: list[dict[str, Any]] = []
    signal_examples = 0
    diverged = False
    while (row := _round(loop, controller, guard)) is not None:
        signal_examples += row.pop("signal_examples")
        diverged = diverged or row["loss_bpb"] is None or row["loss_bpb"] > LOST_BPB
        if diverged:
            row["loss_bpb"] = UNIFORM_BPB
        rows.append(row)
    if not rows:
        raise ValueError("the stream has not enough text for one chunk")
    return Trace(
        **{name: tuple(row[name] for row in rows) for name in rows[0]},
        signal_examples=signal_examples,
        seconds=time.perf_counter() - started,
        diverged=diverged,
    )


def _round(loop: OnlineLoop, controller: Controller, guard: Guard) -> dict[str, Any] | None:
    signals = loop.observe()
    if signals is None:
        return None
    decision, reason = guard.check(controller.decide(signals), signals)
    record = loop.apply(decision)
    assert record.loss_bpb is None or math.isfinite(record.loss_bpb)
    return {
        "loss_bpb": record.loss_bpb,
        "n_bytes": record.n_bytes,
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
