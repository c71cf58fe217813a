"""What is measured in a round: raw scalars with units, some of which may be missing."""

from dataclasses import dataclass, fields
from typing import Any

SIGNALS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Measurements available when a decision is due; `None` where a measurement is missing.

    Measured on the new chunk, before any training on it:
        loss_nats: mean loss, nats per token.
        loss_bpb: mean loss, bits per byte of text.
        loss_std: standard deviation of the chunk's per-sequence losses, nats per token.
        metric: accuracy in [0, 1], classifiers only.
        old_new_gap: mean loss on sequences of the window's oldest chunk minus that on the new one, nats per
            token, both under the present weights; `None` while the memory is empty.
        hist_shift: Jensen-Shannon distance between the token histograms of the new chunk and of the window
            in force, in [0, sqrt(ln 2)] (square root of nats).
        hist_shift_last: the same against the previous chunk.
        alarms: names of the drift detectors that fired on the new chunk.
        rounds_since_alarm: rounds since any detector fired (0 = now); rounds seen if none ever did.
        uncertainty: posterior uncertainty of a Bayesian learner.

    Measured on the training batches of the last round that updated (`gradient_age` rounds ago, 0 = last round):
        train_loss_nats: mean loss of all its batches, each before its own step, nats per token.
        grad_norm: Euclidean norm of its first batch's gradient (nats per token).
        grad_snr: squared signal over squared noise of that gradient, per example, from two half-batches
            (two consecutive batches when the batch size is 1); may be negative through chance.
        grad_cos: cosine of minus its first gradient with the whole move of the round before, in [-1, 1].
        update_ratio: norm of the whole round's move over the norm of the weights.

    Bookkeeping:
        lr, batch_size, window: the decision in force in the last round (the base before the first); `None` where
            a loop does not know, and the controller then takes what it decided last.
        updates: optimizer steps of the last round.
        spent, budget: cost units of the last round, and units a round may spend.
        update_cost: cost units of an optimizer step beside its examples.
        price: loss in nats that one whole budget is worth, relative to the running loss.
        nonfinite: losses or gradients so far that were not finite.

    >>> Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=4).alarms
    ()
    """

    loss_nats: float | None = None
    loss_bpb: float | None = None
    loss_std: float | None = None
    metric: float | None = None
    train_loss_nats: float | None = None
    grad_norm: float | None = None
    grad_snr: float | None = None
    grad_cos: float | None = None
    gradient_age: int | None = None
    update_ratio: float | None = None
    old_new_gap: float | None = None
    hist_shift: float | None = None
    hist_shift_last: float | None = None
    alarms: tuple[str, ...] = ()
    rounds_since_alarm: int = 0
    uncertainty: float | None = None
    lr: float | None
    batch_size: int | None
    window: int | None
    updates: int = 0
    spent: float = 0.0
    budget: float = 64.0
    update_cost: float = 4.0
    price: float = 0.0
    nonfinite: int = 0

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Signals":
        """Signals from a plain mapping, as `olrl decide` reads them.

        Raises ValueError for a name that is no signal.
        """
        unknown = sorted(set(row) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(
                f"unknown signal {unknown[0]!r}; known: {', '.join(f.name for f in fields(cls))}"
            )
        missing = [name for name in ("lr", "batch_size", "window") if name not in row]
        if missing:
            raise ValueError(f"signals need {missing[0]!r}, the value in force in the last round")
        return cls(**{**row, "alarms": tuple(row.get("alarms", ()))})
