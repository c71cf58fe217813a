"""The first layer: what a decision may be at all, and how far it may go in one round."""

import math
from dataclasses import replace
from numbers import Real
from typing import Any

from olrl.control.decision import BATCH_SIZES, MAX_LR_NOTCHES, REGULARISATION, WINDOWS, Base, Decision
from olrl.control.guard.settings import GuardSettings

_SPAN = 2.0**MAX_LR_NOTCHES


def is_valid(decision: Decision) -> bool:
    """Whether rate and batch size are numbers that can be bounded."""
    return _is_number(decision.lr) and _is_number(decision.batch_size)


def is_possible(decision: Decision, *, base: Base) -> bool:
    """Whether a decision can have been in force: within bounds, but for a rate that trouble may have lowered."""
    raised = replace(decision, lr=max(decision.lr, base.lr))
    return decision.lr > 0 and bounded(raised, base=base) == raised


def bounded(decision: Decision, *, base: Base) -> Decision:
    """The nearest decision that there may be: the rate within 1/64 to 64 times the base's, and so on.

    >>> bounded(Decision(lr=1.0, batch_size=100, window=5), base=Base(lr=1e-3))
    Decision(lr=0.064, batch_size=64, window=8, update=True, weight_decay=0.0, pull=0.0)
    """
    decay, pull = decision.weight_decay, decision.pull
    return Decision(
        lr=float(min(max(decision.lr, base.lr / _SPAN), base.lr * _SPAN)),
        batch_size=min(max(round(decision.batch_size), 1), BATCH_SIZES[-1]),
        window=int(decision.window) if decision.window in WINDOWS else base.window,
        update=bool(decision.update),
        weight_decay=_regular(decay, base.weight_decay),
        pull=_regular(pull, base.pull),
    )


def slowed(decision: Decision, last: Decision, settings: GuardSettings) -> Decision:
    """The decision, no farther from that of the round before than a round may go.

    >>> last = Decision(lr=1e-3, batch_size=8, window=8)
    >>> slowed(Decision(lr=1.0, batch_size=8, window=8), last, GuardSettings()).lr
    0.008
    """
    lr = min(max(decision.lr, last.lr / settings.lr_down), last.lr * settings.lr_up)
    low, high = math.ceil(last.batch_size / settings.batch_step), int(last.batch_size * settings.batch_step)
    batch_size = min(max(decision.batch_size, low), high)
    place, before = WINDOWS.index(decision.window), WINDOWS.index(last.window)
    steps = settings.window_steps
    window = WINDOWS[min(max(place, before - steps), before + steps)]
    if (lr, batch_size, window) == (decision.lr, decision.batch_size, decision.window):
        return decision
    return Decision(
        lr=lr,
        batch_size=batch_size,
        window=window,
        update=decision.update,
        weight_decay=decision.weight_decay,
        pull=decision.pull,
    )


def _regular(value: float, of_base: float) -> float:
    """Within 0 and the largest there may be (the base's, where that is larger); the base's for no number."""
    if not (math.isfinite(value) and value >= 0):
        return of_base
    return min(value, max(REGULARISATION[-1], of_base))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
