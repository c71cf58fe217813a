"""A population of learners: the worst copies the best now and then, under settings that a bandit chooses."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base

from ..evaluation.play import Rollout, Trace
from ..local_ray import import_ray
from .constants import base_at, constants_around, places_of_base
from .entrant import Conditions, Entrant, Task
from .held import Held
from .samplers import seed_of
from .space import Choice, Space

Places = dict[str, float]
_QUANTILE = 4  # the worst quarter copies the best quarter, as is usual


@dataclass(frozen=True, kw_only=True)
class PB2Settings:
    """How many learners, and how often they are compared.

    population: learners, at least 2. every: rounds between two comparisons, at least 2.
    reach: factor that a rate lies off the base's at most, above 1.
    """

    population: int = 4
    every: int = 8
    reach: float = 64.0

    def __post_init__(self) -> None:
        if self.population < 2 or self.every < 2:
            raise ValueError(
                f"population and every must be at least 2, not {self.population!r} and {self.every!r}"
            )
        if not self.reach > 1:
            raise ValueError(f"reach must be above 1, not {self.reach!r}")


class PB2(Entrant):
    """Population-based bandits on a stream, by the rule in Ray Tune.

    Parker-Holder et al., 2020, "Provably efficient online hyperparameter optimization with population-based
    bandits". All learners play the same rounds; then the worst quarter take over weights and state of the best,
    and a Gaussian process in time and settings, fitted to how losses have changed, chooses what they go on with.
    The rounds shown are those of the learner that was best in the K rounds before, since only then could it be
    known; all others are charged. Settings are places in the unit cube of a logarithmic space: given the rate
    itself, Ray's rule has linear bounds (ray#20923), and crashes when it is called `lr` (ray#42180).
    """

    def controller(self, given: Conditions) -> Held:
        """The base: the first learner's."""
        PB2Settings(**given.settings)
        return Held(base=given.base)

    def play(self, task: Task) -> Trace:
        """Rounds in groups of K, played by every learner in turn."""
        settings = PB2Settings(**task.given.settings)
        held = self.controller(task.given)
        rollout = task.rollout(base=held.base)
        space = constants_around(held.base, reach=settings.reach)
        population = _Population(rollout, space, held.base, settings.population, seed=task.given.config.seed)
        shown: list[dict[str, Any]] = []
        while population.play(held, settings.every, shown):
            population.exploit()
        return population.trace(shown)


@dataclass
class _Member:
    """A learner that is not playing now: its settings, where its run stands, and how it did last."""

    base: Base
    places: Places
    run: dict[str, Any]
    loss: float | None = None
    history: list[tuple[float, float, Places, float]] = field(
        default_factory=list
    )  # time, before, places, change


class _Population:
    def __init__(self, rollout: Rollout, space: Space, base: Base, size: int, *, seed: int) -> None:
        self._rollout, self._space, self._seed = rollout, space, seed
        self._start = rollout.snapshot()
        self._time = 0
        rng = np.random.default_rng(seed)
        first = _Member(base=base, places=places_of_base(space, base), run=self._start)
        drawn = [{name: float(rng.random()) for name in space} for _ in range(size - 1)]
        others = [_Member(base=base_at(space, places), places=places, run=self._start) for places in drawn]
        self._members = [first, *others]
        self._best = first

    def play(self, held: Held, rounds: int, shown: list[dict[str, Any]]) -> bool:
        """Let every learner play so many rounds; whether there were as many. The best's are `shown`."""
        for member in self._members:
            self._rollout.restore(member.run)
            first = self._rollout.rounds
            held.decision = member.base.decision()
            whole = all(self._rollout.round(held) for _ in range(rounds))
            played = self._rollout.rounds - first
            if not played:
                return False
            if member is self._best:
                shown += self._rollout.snapshot()["rows"][first:]
            else:
                self._rollout.charge(first, trial=False)
            member.run = self._rollout.snapshot()
            self._judge(member, first)
        self._time += rounds
        self._best = min(self._members, key=_loss)
        return whole

    def _judge(self, member: _Member, first: int) -> None:
        losses = self._rollout.losses(first)
        loss = sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
        if member.loss is not None:
            member.history.append((float(self._time), -member.loss, member.places, member.loss - loss))
        member.loss = loss

    def exploit(self) -> None:
        """The worst become copies of the best, under new settings."""
        ranked = sorted(self._members, key=_loss)
        count = max(1, len(ranked) // _QUANTILE)
        chosen: list[Places] = []
        for k, worst in enumerate(ranked[-count:]):
            best = ranked[k]
            places = self._choose(best, chosen)
            chosen.append(places)
            worst.run, worst.loss = best.run, best.loss  # what it has tried stays known
            worst.places, worst.base = places, base_at(self._space, places)

    def _choose(self, best: _Member, chosen: Sequence[Places]) -> Places:
        """What the bandit proposes for a copy of a learner, given what was proposed for others just now."""
        data = sorted((row for member in self._members for row in member.history), key=lambda row: row[0])
        names = tuple(self._space)
        if len(data) < 2 or best.loss is None:
            rng = np.random.default_rng(seed_of(self._seed, self._time + len(chosen)))
            return {name: float(rng.random()) for name in names}
        known = np.array(
            [[time, before, *(places[name] for name in names)] for time, before, places, _ in data]
        )
        change = np.array([row[-1] for row in data])
        now = np.array([float(self._time), -best.loss])
        running = np.array([[places[name] for name in names] for places in chosen]) if chosen else None
        with _numpy_seeded(seed_of(self._seed, self._time + len(chosen))):
            point = proposal(known, change, now, running, names=names)
        return dict(zip(names, (float(place) for place in point), strict=True))

    def trace(self, shown: list[dict[str, Any]]) -> Trace:
        """What was shown, and what all others cost; what is forgotten is measured on the best."""
        self._rollout.restore({**self._best.run, "rows": shown})
        return self._rollout.trace()


def proposal(
    known: NDArray[np.float64],
    change: NDArray[np.float64],
    now: NDArray[np.float64],
    running: NDArray[np.float64] | None,
    *,
    names: Sequence[str],
) -> NDArray[np.float64]:
    """Ray's rule: where in the unit cube its upper confidence bound on the gain is highest, shape (d,).

    `known` are time, reward and places before each step taken so far, shape (n, 2 + d), `change` the gains in
    reward, shape (n,), `now` time and reward of the learner that goes on, `running` the places others were given
    just now, shape (m, d). Draws from numpy's global generator, as Ray does. Places are within [0, 1].
    """
    import_ray()
    from ray.tune.schedulers.pb2 import _select_config

    bounds = dict.fromkeys(names, (0.0, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about kernels at the edge of their range
        point = _select_config(known, change, running, now, bounds, num_f=2)
    return np.clip(np.asarray(point, dtype=np.float64), 0.0, 1.0)


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Ray draws from numpy's global generator: within, it starts from `seed`; afterwards it is as it was."""
    before = np.random.get_state()  # noqa: NPY002 # the global one is meant
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _loss(member: _Member) -> float:
    return float("inf") if member.loss is None else member.loss


PB2_RIVAL = PB2(
    name="pb2",
    description="a population of learners; the worst copy the best, a bandit sets them (Ray's PB2)",
    privileges=("extra learners",),
    space={"population": Choice(options=(3, 4, 6)), "every": Choice(options=(4, 8, 16))},
    requires=("ray", "sklearn"),
    extra="ray",
)
