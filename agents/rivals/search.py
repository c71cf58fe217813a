"""How settings are searched: a search asks for the next ones to try, and is told how well they did."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .samplers import sampler_of, unit_cube
from .space import Space, places_of, settings_at


class Search(ABC):
    """Proposes settings of a space, one after the other; the same seed and the same losses, the same proposals."""

    @abstractmethod
    def ask(self) -> dict[str, Any] | None:
        """The settings to try next; `None` when there is nothing left to find."""

    @abstractmethod
    def tell(self, loss: float) -> None:
        """The loss of the settings asked for last; one that is not finite is the worst there is."""


class OptunaSearch(Search):
    """What one of Optuna's samplers proposes (`samplers.py`), on places in the unit cube.

    >>> from .space import LogUniform
    >>> search = OptunaSearch({"lr": LogUniform(low=1e-4, high=1e-1)}, seed=0)
    >>> for _ in range(30):
    ...     lr = search.ask()["lr"]
    ...     search.tell(abs(math.log10(lr) + 2))
    >>> 0.005 < search.ask()["lr"] < 0.02
    True
    """

    def __init__(self, space: Space, *, seed: int, sampler: str = "tpe", startup: int = 10) -> None:
        import optuna

        self._space = space
        self._study = optuna.create_study(sampler=sampler_of(sampler, seed=seed, startup=startup))
        self._cube = unit_cube(tuple(space))
        self._trial: optuna.Trial | None = None

    def ask(self) -> dict[str, Any]:
        """The settings that promise most, by the trials so far."""
        self._trial = self._study.ask(self._cube)
        return settings_at(self._space, self._trial.params)

    def tell(self, loss: float) -> None:
        """Take in how well they did."""
        assert self._trial is not None, "nothing was asked for yet"
        self._study.tell(self._trial, _finite(loss))

    def know(self, settings: Mapping[str, Any], loss: float) -> None:
        """Take in how well settings do that were not asked for."""
        import optuna

        places = places_of(self._space, settings)
        self._study.add_trial(
            optuna.trial.create_trial(params=places, distributions=self._cube, value=_finite(loss))
        )


class CMASearch(Search):
    """CMA-ES (Hansen, 2016, "The CMA evolution strategy: a tutorial") over the numbers of one setting.

    `start` are the numbers it begins at, `step` the standard deviation of the first generation. A generation
    is evaluated one by one.
    """

    def __init__(self, name: str, start: tuple[float, ...], *, step: float, seed: int) -> None:
        from cmaes import CMA

        self._name = name
        self._strategy = CMA(mean=np.array(start), sigma=step, seed=seed)
        self._waiting: list[tuple[Any, float]] = []
        self._asked: Any = None

    def ask(self) -> dict[str, Any]:
        """The next member of the generation, to four digits behind the point."""
        self._asked = np.round(self._strategy.ask(), 4)
        return {self._name: self._asked.tolist()}

    def tell(self, loss: float) -> None:
        """Take in how well it did; a whole generation moves the strategy."""
        assert self._asked is not None, "nothing was asked for yet"
        self._waiting.append((self._asked, _finite(loss)))
        if len(self._waiting) == self._strategy.population_size:
            self._strategy.tell(self._waiting)
            self._waiting = []


class LadderSearch(Search):
    """Climbs along ladders: neighbours of the best point, one axis after the other, until none is better.

    Where losses have one valley, as those of a constant configuration have on ladders of factors, it takes fewer
    trials than a model of the losses does.

    >>> search = LadderSearch({"lr": [1, 2, 4, 8], "window": [1, 4]}, start={"lr": 1, "window": 4})
    >>> while (point := search.ask()) is not None:
    ...     search.tell(abs(point["lr"] - 4) + point["window"])
    >>> search.best, search.tried
    ({'lr': 4, 'window': 1}, 7)
    """

    def __init__(self, axes: Mapping[str, Sequence[Any]], *, start: Mapping[str, Any]) -> None:
        self._axes = axes
        self._waiting = dict(start)
        self._losses: list[tuple[dict[str, Any], float]] = []

    @property
    def best(self) -> dict[str, Any]:
        """The point of least loss, the earliest among equals."""
        return min(self._losses, key=lambda pair: pair[1])[0]

    @property
    def tried(self) -> int:
        """Points whose loss is known."""
        return len(self._losses)

    def ask(self) -> dict[str, Any] | None:
        """The start, then neighbours of the best point that were not tried yet."""
        if self._losses:
            found = self._neighbour()
            if found is None:
                return None
            self._waiting = found
        return dict(self._waiting)

    def _neighbour(self) -> dict[str, Any] | None:
        centre, known = self.best, [point for point, _ in self._losses]
        for name, ladder in self._axes.items():
            at = list(ladder).index(centre[name])
            for k in (at - 1, at + 1):
                if 0 <= k < len(ladder) and (point := {**centre, name: ladder[k]}) not in known:
                    return point
        return None

    def tell(self, loss: float) -> None:
        """Take in how well it did."""
        self._losses.append((self._waiting, _finite(loss)))


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else 1e9


def best_of(trials: Mapping[int, float]) -> int:
    """The number of the trial of least loss, the earliest among equals.

    >>> best_of({0: 2.0, 1: 1.5, 2: 1.5})
    1
    """
    return min(trials, key=lambda number: (trials[number], number))
