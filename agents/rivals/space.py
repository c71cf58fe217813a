"""What is searched in: ranges of settings, by name."""

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

    @abstractmethod
    def place(self, value: Any) -> float:
        """A place from 0 to 1 at which a value lies, or the one nearest to it that the range has."""


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

    def place(self, value: float) -> float:
        """By its logarithm; 0 for a value below `low`."""
        return _within(math.log(value / self.low) / math.log(self.high / self.low)) if value > 0 else 0.0


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

    def place(self, value: float) -> float:
        """By its distance from `low`."""
        return _within((value - self.low) / (self.high - self.low))


@dataclass(frozen=True, kw_only=True)
class ZeroOrLog(Range):
    """Zero on the first `zero` of the interval, then numbers from `low` to `high` as `LogUniform` has them.

    For what is often best left out, and matters by its magnitude where it is not: weight decay.

    >>> decay = ZeroOrLog(low=0.001, high=1.0, zero=0.25)
    >>> [decay.at(place) for place in (0.0, 0.2, 0.25, 1.0)], decay.place(0.0), decay.place(1.0)
    ([0.0, 0.0, 0.001, 1.0], 0.125, 1.0)
    """

    low: float
    high: float
    zero: float

    def __post_init__(self) -> None:
        if not 0 < self.zero < 1:
            raise ValueError(f"zero must be a share between 0 and 1, not {self.zero!r}")
        self._positive()

    def _positive(self) -> LogUniform:
        return LogUniform(low=self.low, high=self.high)

    def at(self, place: float) -> float:
        """0 below `zero`, `high` at 1."""
        return 0.0 if place < self.zero else self._positive().at((place - self.zero) / (1 - self.zero))

    def place(self, value: float) -> float:
        """The middle of zero's part, or by the logarithm."""
        if not value > 0:
            return self.zero / 2
        return self.zero + (1 - self.zero) * self._positive().place(value)


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

    def place(self, value: Any) -> float:
        """The middle of its part; a number that is no option counts as the largest one below it."""
        if value not in self.options:
            value = max((option for option in self.options if option <= value), default=self.options[0])
        return (self.options.index(value) + 0.5) / len(self.options)


Space = Mapping[str, Range]


def settings_at(space: Space, places: Mapping[str, float]) -> dict[str, Any]:
    """The settings at places from 0 to 1, one a name.

    >>> settings_at({"every": Choice(options=(2, 4))}, {"every": 0.9})
    {'every': 4}
    """
    return {name: range_.at(places[name]) for name, range_ in space.items()}


def places_of(space: Space, settings: Mapping[str, Any]) -> dict[str, float]:
    """The places from 0 to 1 of settings, one a name of the space.

    >>> places_of({"every": Choice(options=(2, 4))}, {"every": 4})
    {'every': 0.75}
    """
    return {name: range_.place(settings[name]) for name, range_ in space.items()}


def _within(place: float) -> float:
    return min(max(place, 0.0), 1.0)
