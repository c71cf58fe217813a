"""Turns what a round did into signals."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.cost import CostModel
from olrl.learners.learner import UpdateReport
from olrl.monitor.detectors import DetectorBank
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk


@dataclass(frozen=True, kw_only=True)
class ChunkLosses:
    """What scoring a new chunk came to, before any training on it; `None` where it was not measured.

    Units and meaning as in `Signals`, `metric` too. `nonfinite`: the loss was measured, and is not a number to
    go by.
    """

    loss_nats: float | None = None
    loss_bpb: float | None = None
    loss_std: float | None = None
    old_new_gap: float | None = None
    metric: float | None = None
    nonfinite: bool = False


class LoopMonitor:
    """Measures the signals of an `OnlineLoop`; what each one means stands in `Signals`.

    `histograms=None` for learners whose examples are no tokens. `masked` names signals to report as missing
    (training randomises it, so that a policy does without what another loop cannot measure; differential privacy
    withholds what is measured on the text itself).
    """

    def __init__(
        self,
        *,
        detectors: DetectorBank,
        histograms: TokenHistograms | None,
        cost: CostModel,
        price: float = 0.0,
        masked: frozenset[str] = frozenset(),
    ) -> None:
        if not (math.isfinite(price) and price >= 0):
            raise ValueError(f"price must be at least 0, not {price!r}")
        self.cost = cost
        self.price = price
        self.masked = masked
        self._detectors = detectors
        self._histograms = histograms
        self._report = UpdateReport()
        self._gradient_age: int | None = None
        self._spent = 0.0
        self._updates = 0
        self._nonfinite = 0
        self._rounds_since_alarm = 0
        self._rounds = 0

    def measure(
        self,
        chunk: Chunk,
        new: NDArray[np.float64],
        old: NDArray[np.float64],
        *,
        in_force: Decision,
        metric: float | None = None,
    ) -> Signals:
        """Signals of a new chunk: its losses `new`, shape (C,), and those of probes from the window, (P,).

        `metric` is the share of right answers, of learners that answer.
        """
        total = float(np.add.reduce(new))
        loss = total / len(new) if math.isfinite(total) else None
        losses = ChunkLosses(metric=metric, nonfinite=True)
        if loss is not None:
            losses = ChunkLosses(
                loss_nats=loss,
                loss_bpb=bits_per_byte(new, chunk) if chunk.per_byte else None,
                loss_std=spread(new, loss),
                old_new_gap=gap(old, loss),
                metric=metric,
            )
        return self.take_in(losses, chunk.words, in_force=in_force)

    def take_in(self, losses: ChunkLosses, tokens: NDArray[Any] | None, *, in_force: Decision) -> Signals:
        """Signals of a new chunk from what its losses came to and its predicted tokens, of any shape.

        For loops that score in their own way; `tokens=None` where there are none, and no shift is measured then.
        """
        self._nonfinite += (
            losses.nonfinite and "loss_nats" not in self.masked
        )  # else it would tell of the loss
        shift, shift_last, recent_shift = None, None, None
        if self._histograms is not None and tokens is not None:
            shift, shift_last = self._histograms.shift(tokens, window=in_force.window)
            recent_shift = self._histograms.recent_shift()
        alarms = self._detectors.update(losses.loss_nats, recent_shift)
        self._rounds_since_alarm = 0 if alarms else self._rounds_since_alarm + (self._rounds > 0)
        self._rounds += 1
        report = self._report
        measured: dict[str, Any] = {
            "loss_nats": losses.loss_nats,
            "loss_bpb": losses.loss_bpb,
            "loss_std": losses.loss_std,
            "metric": losses.metric,
            "old_new_gap": losses.old_new_gap,
            "hist_shift": shift,
            "hist_shift_last": shift_last,
            "alarms": alarms,
            "rounds_since_alarm": self._rounds_since_alarm,
            "train_loss_nats": report.train_loss_nats,
            "grad_norm": report.grad_norm,
            "grad_snr": report.grad_snr,
            "grad_cos": report.grad_cos,
            "gradient_age": self._gradient_age,
            "update_ratio": report.update_ratio,
            "uncertainty": report.uncertainty,
            "updates": self._updates,
            "spent": self._spent,
            "nonfinite": self._nonfinite,
        }
        for name in self.masked:
            measured.pop(name, None)
        return Signals(
            lr=in_force.lr,
            batch_size=in_force.batch_size,
            window=in_force.window,
            budget=self.cost.budget,
            update_cost=self.cost.update_cost,
            price=self.price,
            **measured,
        )

    def trained(self, decision: Decision, report: UpdateReport, spent: float) -> None:
        """Take in what the round's training did; figures of an earlier round age when nothing was updated."""
        self._spent = spent
        self._updates = report.updates
        self._nonfinite += report.nonfinite
        if report.updates:
            self._report, self._gradient_age = report, 0
        elif self._gradient_age is not None:
            self._gradient_age += 1

    def state_dict(self) -> dict[str, Any]:
        """All that later signals depend on."""
        return {
            "detectors": self._detectors.state_dict(),
            "histograms": None if self._histograms is None else self._histograms.state_dict(),
            "report": asdict(self._report),
            "gradient_age": self._gradient_age,
            "spent": self._spent,
            "updates": self._updates,
            "nonfinite": self._nonfinite,
            "rounds_since_alarm": self._rounds_since_alarm,
            "rounds": self._rounds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; ValueError or TypeError for what are no numbers."""
        self._detectors.load_state_dict(state["detectors"])
        if self._histograms is not None:
            self._histograms.load_state_dict(state["histograms"])
        self._report = UpdateReport(**state["report"])
        age = state["gradient_age"]
        self._gradient_age = None if age is None else int(age)
        self._spent = float(state["spent"])
        self._updates, self._nonfinite = int(state["updates"]), int(state["nonfinite"])
        self._rounds_since_alarm, self._rounds = int(state["rounds_since_alarm"]), int(state["rounds"])


# Sums by `np.add.reduce`, not by methods of arrays: these are Python underneath and take several µs each.
def spread(losses: NDArray[np.float64], mean: float) -> float:
    """The standard deviation of losses around their mean, as `losses.std()` has it."""
    deviations = losses - mean
    return math.sqrt(float(np.add.reduce(deviations * deviations)) / len(losses))


def gap(old: NDArray[np.float64], loss: float) -> float | None:
    """How much higher the losses on probes from the past are on average; `None` without probes."""
    total = float(np.add.reduce(old))
    return total / len(old) - loss if len(old) and math.isfinite(total) else None


def bits_per_byte(losses: NDArray[np.float64], chunk: Chunk) -> float:
    """Losses of a chunk's sequences, shape (C,), nats per token, as bits per byte of the text predicted.

    >>> tokens = np.zeros((1, 5), dtype=np.int32)  # four predicted tokens of two bytes each
    >>> chunk = Chunk(tokens=tokens, n_bytes=np.array([8], dtype=np.int32))
    >>> bits_per_byte(np.array([2 * math.log(2)]), chunk)
    1.0
    """
    bits: float = chunk.nats(losses) / (math.log(2) * float(np.add.reduce(chunk.n_bytes)))
    return bits
