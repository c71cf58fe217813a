"""What a rival can be tuned in: ranges of its settings, by name."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Range(ABC):
    """Values that one setting may take; `at` maps the unit interval onto them, evenly in what matters."""

    @abstractmethod
    def at(self, place: float) -> Any:
        """The value at a place from 0 to 1; JSON-able."""


@dataclass(frozen=True, kw_only=True)
class LogUniform(Range):
    """Numbers from `low` to `high`, both positive, even in their logarithm, told to three digits.

    >>> LogUniform(low=0.01, high=100).at(0.5)
    1.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(f"low and high must be positive and in order, not {self.low!r}, {self.high!r}")

    def at(self, place: float) -> float:
        """`low` at 0, `high` at 1."""
        value = self.low * (self.high / self.low) ** place
        return min(max(float(f"{value:.3g}"), self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class Uniform(Range):
    """Numbers from `low` to `high`, told to three digits behind the point.

    >>> Uniform(low=0, high=1).at(0.25)
    0.25
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low and high must be finite and in order, not {self.low!r}, {self.high!r}")

    def at(self, place: float) -> float:
        """`low` at 0, `high` at 1."""
        value = round(self.low + (self.high - self.low) * place, 3)
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class Choice(Range):
    """One of some values that stand in an order.

    >>> [Choice(options=(1, 2, 4)).at(place) for place in (0.0, 0.4, 1.0)]
    [1, 2, 4]
    """

    options: tuple[Any, ...]

    def at(self, place: float) -> Any:
        """Each option on an equal part of the interval."""
        return self.options[min(int(place * len(self.options)), len(self.options) - 1)]


Space = Mapping[str, Range]


def settings_at(space: Space, places: Mapping[str, float]) -> dict[str, Any]:
    """The settings at places from 0 to 1, one a name.

    >>> settings_at({"every": Choice(options=(2, 4))}, {"every": 0.9})
    {'every': 4}
    """
    return {name: range_.at(places[name]) for name, range_ in space.items()}
