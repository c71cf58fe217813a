"""The online learning loop: observe, decide, apply."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base, Decision
from olrl.learners.cost import CostModel
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.poisson import PoissonSampling
from olrl.memory import Memory
from olrl.monitor.monitor import LoopMonitor
from olrl.monitor.signals import Signals
from olrl.monitor.text_selection import Reselection
from olrl.streams.chunk import Chunk


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """What happened in one round.

    `loss_nats` (per token) and `loss_bpb` (per byte) were measured before the decision; both are `None` when
    the loss was not finite. `n_bytes` is the chunk's length in bytes, `spent` the cost units of its updates,
    `signal_examples` the examples passed through the model for signals alone, `tokens` all that were predicted in
    scoring, for signals and in training. `source` and `segment` tell where
    the chunk came from, for figures and tables. `judged` counts what a classifier predicted, as (class, predicted
    class, documents). `reselected` says that a classifier's text features were chosen anew before it trained.
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
    tokens: int = 0
    judged: tuple[tuple[int, int, int], ...] = ()
    reselected: Reselection | None = None


def loss_of(record: RoundRecord) -> float | None:
    """The loss of a round in bits per byte, a classifier's in bits per label; None if it was not finite."""
    if record.judged and record.loss_nats is not None:
        return record.loss_nats / math.log(2)
    return record.loss_bpb


class Rounds:
    """The rounds of a loop but for the learner's part: what to score, what to train on, signals and records.

    A round is `next_examples`, `observed`, `training`, `trained`, in this order; whoever holds a learner (or
    many: `OnlineLoop` one, a vector environment a stack of them) scores and trains in between.

    `base` is the decision said to be in force before the first one; `probes` sequences of the window's oldest
    chunk are scored beside each new chunk for the signal `old_new_gap` (0: none).
    """

    def __init__(
        self,
        *,
        stream: Iterator[Chunk],
        memory: Memory,
        monitor: LoopMonitor,
        base: Base,
        cost: CostModel | None = None,
        probes: int = 4,
    ) -> None:
        self.memory = memory
        self.monitor = monitor
        self.cost = cost or CostModel()
        self.round = 0
        self._stream = stream
        self._probes = probes
        self._decision = base.decision()
        self._chunk: Chunk | None = None
        self._signals: Signals | None = None
        self._probed = self._repeated = 0
        self._judged: tuple[tuple[int, int, int], ...] = ()

    @property
    def chunk(self) -> Chunk | None:
        """The chunk that was observed last and is still to be trained on."""
        return self._chunk

    @property
    def signals(self) -> Signals | None:
        """What was measured of that chunk."""
        return self._signals

    def next_examples(self) -> Examples | None:
        """The next chunk's examples, and behind them the probes; `None` at the stream's end."""
        if self._chunk is not None:
            raise RuntimeError("observe() was called twice in a round: call apply(decision) in between")
        chunk = next(self._stream, None)
        if chunk is None:
            return None
        probes = self._probe_examples()
        self._chunk, self._probed, self._repeated = chunk, 0 if probes is None else len(probes), 0
        return chunk.tokens if probes is None else np.concatenate([chunk.tokens, probes])

    def new_examples(self) -> Examples:
        """The examples of the chunk that was observed last, to be scored once more under other weights.

        They are counted among those passed through the model for signals.
        """
        if self._chunk is None:
            raise RuntimeError("there is no chunk to look at: a round starts with observe()")
        self.passed_again(len(self._chunk.tokens))
        return self._chunk.tokens

    def passed_again(self, examples: int) -> None:
        """So many examples more went through the model in this round than were to be scored: they are charged."""
        self._repeated += examples

    def observed(
        self,
        losses: NDArray[np.float64],
        *,
        hits: NDArray[np.bool_] | None = None,
        judged: tuple[tuple[int, int, int], ...] = (),
    ) -> Signals:
        """Take in the losses of these examples, and measure.

        `hits` says of which of them the learner would have given the right answer, if it answers; `judged` goes
        into the round's record.
        """
        assert self._chunk is not None
        n = len(self._chunk.tokens)
        self._judged = judged
        self._signals = self.monitor.measure(
            self._chunk,
            losses[:n],
            losses[n : n + self._probed],
            in_force=self._decision,
            metric=None if hits is None else float(np.mean(hits[:n])),
        )
        return self._signals

    def training(self, decision: Decision) -> Examples | None:
        """Remember the chunk, and draw all that `decision` trains on, batch behind batch; `None` to skip."""
        if self._chunk is None:
            raise RuntimeError("apply() was called before observe(): a round starts with observe()")
        self.memory.add(self._chunk.tokens)
        if not decision.update:
            return None
        count = decision.batch_size * self.cost.updates(decision.batch_size)
        return self.memory.draw(round_=self.round, window=decision.window, start=0, count=count)

    def trained(self, decision: Decision, report: UpdateReport) -> RoundRecord:
        """Take in what training did, and close the round."""
        chunk, signals = self._chunk, self._signals
        assert chunk is not None
        assert signals is not None
        spent = self.cost.spent(decision.batch_size, report.updates + report.nonfinite)
        signal_examples = self._probed + self._repeated
        examples = len(chunk.tokens) + signal_examples + report.examples
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
            tokens=examples * chunk.row_tokens,
            judged=self._judged,
        )
        self._chunk, self._signals, self._judged, self._decision = None, None, (), decision
        self.round += 1
        return record

    def _probe_examples(self) -> Examples | None:
        if not self._probes or not self.memory.chunks_seen:
            return None
        return self.memory.oldest(self._decision.window)[: self._probes]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the stream, between two rounds or between `observed` and `training`.

        Between two rounds it is a tree of plain values and arrays, as checkpoints take it.
        """
        return {
            "round": self.round,
            "decision": asdict(self._decision),
            "seen": (self._chunk, self._signals, self._probed, self._repeated, self._judged),
            "memory": self.memory.state_dict(),
            "monitor": self.monitor.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        self.memory.load_state_dict(state["memory"])
        self.monitor.load_state_dict(state["monitor"])
        self.round, self._decision = state["round"], Decision(**state["decision"])
        self._chunk, self._signals, self._probed, self._repeated, self._judged = state["seen"]


class OnlineLoop:
    """One learner on one stream, one round at a time.

    `observe()` scores the next chunk and returns its signals (`None` at the stream's end); `apply(decision)`
    remembers the chunk, takes all the updates the budget affords and returns the record. The two alternate:
    calling them in another order raises RuntimeError. With `sampling` it draws the batches, from the whole window.
    """

    def __init__(self, rounds: Rounds, learner: Learner, *, sampling: PoissonSampling | None = None) -> None:
        self.rounds = rounds
        self.learner = learner
        self._sampling = sampling

    @property
    def monitor(self) -> LoopMonitor:
        """What measures."""
        return self.rounds.monitor

    @property
    def cost(self) -> CostModel:
        """What training costs, and what a round may spend."""
        return self.rounds.cost

    def observe(self) -> Signals | None:
        """Score the next chunk, train on nothing, and measure; `None` at the stream's end."""
        examples = self.rounds.next_examples()
        if examples is None:
            return None
        self.rounds.passed_again((self.learner.passes - 1) * len(examples))
        judgement = self.learner.judge(examples)
        return self.rounds.observed(judgement.losses, hits=judgement.hits)

    def rescore(self) -> float | None:
        """The loss of the learner as it is now on the chunk observed last, nats a token; None if not finite."""
        losses = self._score(self.rounds.new_examples())
        loss = float(np.mean(losses))
        return loss if np.isfinite(loss) else None

    def _score(self, examples: Examples) -> NDArray[np.float64]:
        self.rounds.passed_again((self.learner.passes - 1) * len(examples))
        return self.learner.score(examples)

    def apply(self, decision: Decision) -> RoundRecord:
        """Train under `decision` until the budget is spent, and tell what happened."""
        drawn = self.rounds.training(decision)
        if drawn is None:
            return self.rounds.trained(decision, UpdateReport())
        if self._sampling is not None:
            batches = self._sampling.batches(self.rounds.memory.whole(decision.window))
            return self.rounds.trained(decision, self.learner.update(batches, decision))
        size = decision.batch_size
        batches = (drawn[k : k + size] for k in range(0, len(drawn), size))
        return self.rounds.trained(decision, self.learner.update(batches, decision))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the stream, between two rounds or between `observe` and `apply`; see `Rounds`."""
        return {"rounds": self.rounds.state_dict(), "learner": self.learner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        self.rounds.load_state_dict(state["rounds"])
        self.learner.load_state_dict(state["learner"])
