"""What a run may spend in all, and which of it is spent."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may spend in all; None is no limit.

    tokens: passed through the model: scored, looked at for signals, trained on.
    seconds: by the clock, from the start; the one limit under which two runs need not be the same.
    rollbacks: times that the weights are put back.
    skips: rounds in which nothing was learned though it should have been: the guard withheld training, or no step
        was finite.
    """

    tokens: int | None = None
    seconds: float | None = None
    rollbacks: int | None = None
    skips: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is None:
                continue
            counts = name in ("rollbacks", "skips")  # of what may never happen
            if not (math.isfinite(value) and (value > 0 or (counts and value == 0))):
                raise ValueError(
                    f"the limit of {name} must be {'at least' if counts else 'above'} 0, not {value!r}"
                )


class Budgets:
    """Counts what a run spends, and says when a limit is reached.

    `rollbacks` and `skips` are counts of what may happen: the run is over when it happens once more.

    >>> budgets = Budgets(Limits(tokens=1000))
    >>> budgets.spend(tokens=600), budgets.over
    (None, None)
    >>> budgets.spend(tokens=600), budgets.over
    (None, 'its budget of 1,000 tokens is spent')
    """

    def __init__(self, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self.spent: dict[str, int] = {"tokens": 0, "rollbacks": 0, "skips": 0}
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds so far, with those before a saved state was loaded."""
        return self._clock() - self._started

    def spend(self, **amounts: int) -> None:
        """Count `tokens`, `rollbacks` or `skips`."""
        for name, amount in amounts.items():
            self.spent[name] += amount

    @property
    def over(self) -> str | None:
        """Which budget is spent, in words that follow "the run ended because"; None if none is."""
        limits, spent = self.limits, self.spent
        if limits.tokens is not None and spent["tokens"] >= limits.tokens:
            return f"its budget of {limits.tokens:,} tokens is spent"
        if limits.seconds is not None and self.seconds >= limits.seconds:
            return f"its budget of {limits.seconds:g} seconds is spent"
        for name in ("rollbacks", "skips"):
            limit = getattr(limits, name)
            if limit is not None and spent[name] > limit:
                return f"the {limit:,} {name} that it may take did not suffice"
        return None

    def state_dict(self) -> dict[str, Any]:
        """What is spent so far, JSON-able."""
        return {**self.spent, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.spent = {name: int(state[name]) for name in self.spent}
        self._started = self._clock() - float(state["seconds"])
