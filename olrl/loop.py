"""The online learning loop: observe, decide, apply."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base, Decision
from olrl.learners.cost import CostModel
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.memory import Memory
from olrl.monitor.monitor import LoopMonitor
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """What happened in one round.

    `loss_nats` (per token) and `loss_bpb` (per byte) were measured before the decision; both are `None` when
    the loss was not finite. `n_bytes` is the chunk's length in bytes, `spent` the cost units of its updates,
    `signal_examples` the examples passed through the model for signals alone. `source` and `segment` tell where
    the chunk came from, for figures and tables.
    """

    round: int
    signals: Signals
    decision: Decision
    report: UpdateReport
    loss_nats: float | None
    loss_bpb: float | None
    n_bytes: int
    spent: float
    signal_examples: int
    source: str
    segment: int


class OnlineLoop:
    """One learner on one stream, one round at a time.

    `observe()` scores the next chunk and returns its signals (`None` at the stream's end); `apply(decision)`
    remembers the chunk, takes all the updates the budget affords and returns the record. The two alternate:
    calling them in another order raises RuntimeError.

    `base` is the decision said to be in force before the first one; `probes` sequences of the window's oldest
    chunk are scored beside each new chunk for the signal `old_new_gap` (0: none).
    """

    def __init__(
        self,
        *,
        stream: Iterator[Chunk],
        memory: Memory,
        learner: Learner,
        monitor: LoopMonitor,
        base: Base,
        cost: CostModel | None = None,
        probes: int = 4,
    ) -> None:
        self.memory = memory
        self.learner = learner
        self.monitor = monitor
        self.cost = cost or CostModel()
        self.round = 0
        self._stream = stream
        self._probes = probes
        self._decision = base.decision()
        self._seen: tuple[Chunk, Signals, int] | None = None

    def observe(self) -> Signals | None:
        """Score the next chunk, train on nothing, and measure; `None` at the stream's end."""
        if self._seen is not None:
            raise RuntimeError("observe() was called twice in a round: call apply(decision) in between")
        chunk = next(self._stream, None)
        if chunk is None:
            return None
        probes = self._probe_examples()
        losses = self.learner.score(_join(chunk.tokens, probes))
        new, old = losses[: len(chunk.tokens)], losses[len(chunk.tokens) :]
        signals = self.monitor.measure(chunk, new, old, in_force=self._decision)
        self._seen = (chunk, signals, len(old))
        return signals

    def apply(self, decision: Decision) -> RoundRecord:
        """Train under `decision` until the budget is spent, and tell what happened."""
        if self._seen is None:
            raise RuntimeError("apply() was called before observe(): a round starts with observe()")
        chunk, signals, signal_examples = self._seen
        self.memory.add(chunk.tokens)
        report = self._train(decision)
        spent = self.cost.spent(decision.batch_size, report.updates + report.nonfinite)
        self.monitor.trained(decision, report, spent)
        record = RoundRecord(
            round=self.round,
            signals=signals,
            decision=decision,
            report=report,
            loss_nats=signals.loss_nats,
            loss_bpb=signals.loss_bpb,
            n_bytes=int(chunk.n_bytes.sum()),
            spent=spent,
            signal_examples=signal_examples,
            source=chunk.source,
            segment=chunk.segment,
        )
        self._seen, self._decision = None, decision
        self.round += 1
        return record

    def _train(self, decision: Decision) -> UpdateReport:
        if not decision.update:
            return UpdateReport()
        return self.learner.update(self._batches(decision), decision)

    def _batches(self, decision: Decision) -> Iterator[Examples]:
        size = decision.batch_size
        for k in range(self.cost.updates(size)):
            yield self.memory.draw(round_=self.round, window=decision.window, start=k * size, count=size)

    def _probe_examples(self) -> NDArray[Any] | None:
        if not self._probes or not self.memory.chunks_seen:
            return None
        return self.memory.oldest(self._decision.window)[: self._probes]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the stream, between two rounds or between `observe` and `apply`."""
        return {
            "round": self.round,
            "decision": self._decision,
            "seen": self._seen,
            "memory": self.memory.state_dict(),
            "learner": self.learner.state_dict(),
            "monitor": self.monitor.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        self.memory.load_state_dict(state["memory"])
        self.learner.load_state_dict(state["learner"])
        self.monitor.load_state_dict(state["monitor"])
        self.round, self._decision, self._seen = state["round"], state["decision"], state["seen"]


def _join(new: Examples, probes: NDArray[Any] | None) -> Examples:
    return new if probes is None else np.concatenate([new, probes])
