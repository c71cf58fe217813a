"""What is measured in a round: raw scalars with units, some of which may be missing."""

import math
from dataclasses import dataclass, fields
from numbers import Real
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

    Measured on the training batches of the last round that updated (`gradient_age` rounds ago, 0 = last round):
        train_loss_nats: mean loss of all its batches, each before its own step, nats per token.
        grad_norm: Euclidean norm of its first batch's gradient (nats per token).
        grad_snr: squared signal over squared noise of that gradient, per example, from two half-batches
            (two consecutive batches when the batch size is 1); may be negative through chance.
        grad_cos: cosine of minus its first gradient with the whole move of the round before, in [-1, 1].
        update_ratio: norm of the whole round's move over the norm of the weights.
        uncertainty: of a learner with a posterior over its weights (`VON`), the geometric mean of their standard
            deviations after it, in units of weights.

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

        Raises ValueError for a name that is no signal, for one of `lr`, `batch_size` and `window` that is not
        there, and for a value of another kind: measurements are numbers, counts whole numbers, alarms a list
        of names. What is bookkeeping has to be finite and in range; a measurement may be whatever it is. None is
        as good as not there.

        >>> Signals.from_dict({"lr": 1e-3, "batch_size": 8, "window": 4, "alarms": ["adwin"]}).alarms
        ('adwin',)
        >>> Signals.from_dict({"lr": 1e-3, "batch_size": 8.5, "window": 4})
        Traceback (most recent call last):
        ...
        ValueError: signal 'batch_size' must be a whole number of at least 1, not 8.5
        """
        known = [f.name for f in fields(cls)]
        unknown = [name for name in row if name not in known]
        if unknown:
            raise ValueError(
                f"unknown signal{'s' if len(unknown) > 1 else ''} {', '.join(map(_shown, unknown[:5]))}; "
                f"known: {', '.join(known)}"
            )
        row = {name: value for name, value in row.items() if value is not None}
        missing = [name for name in ("lr", "batch_size", "window") if name not in row]
        if missing:
            raise ValueError(f"signals need {missing[0]!r}, the value in force in the last round")
        return cls(**{name: _checked(name, value) for name, value in row.items()})


# Bookkeeping: the least value, and whether it counts something. What is not here is a measurement.
_BOOKKEEPING: dict[str, tuple[float, bool]] = {
    "rounds_since_alarm": (0, True),
    "lr": (0, False),
    "batch_size": (1, True),
    "window": (0, True),
    "updates": (0, True),
    "spent": (0, False),
    "budget": (0, False),
    "update_cost": (0, False),
    "price": (0, False),
    "nonfinite": (0, True),
}
_POSITIVE = ("lr", "budget")
_MOST_ALARMS = 64  # far more than there are detectors


def _checked(name: str, value: Any) -> Any:
    if name == "alarms":
        return _alarms(value)
    if name in _BOOKKEEPING:
        return _bookkept(name, value)
    number = _number(value)
    if number is None:
        raise ValueError(f"signal {name!r} must be a number or missing, not {_shown(value)}")
    return int(number) if name == "gradient_age" and number.is_integer() else number


def _bookkept(name: str, value: Any) -> int | float:
    least, counts = _BOOKKEEPING[name]
    number = _number(value)
    fits = number is not None and math.isfinite(number) and number >= least
    if not fits or (counts and not float(value).is_integer()) or (name in _POSITIVE and not value > 0):
        what = "a whole number" if counts else "a number"
        bound = "above 0" if name in _POSITIVE else f"of at least {least:g}"
        raise ValueError(f"signal {name!r} must be {what} {bound}, not {_shown(value)}")
    return int(value) if counts else float(value)


def _number(value: Any) -> float | None:
    """As a float; None for what is no number, and for a whole number beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _alarms(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"signal 'alarms' must be a list of names, not {_shown(value)}")
    if len(value) > _MOST_ALARMS:
        raise ValueError(f"signal 'alarms' has {len(value)} names, more than {_MOST_ALARMS}")
    return tuple(value)


def _shown(value: Any) -> str:
    """A value as a message shows it: not a page of it."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
