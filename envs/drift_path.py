"""How the optimum of a surrogate task moves, and how noisy its targets are, round by round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .normal_rows import PLACES, TABLE

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class DriftRandomisation:
    """What a drift may be like; rates are per round, distances in whitened coordinates u = √h·θ.

    Every range is drawn from log-uniformly. An excess loss is ½‖u − u*‖², so a jump of size J costs ½J² at
    once.

    Attributes:
        walk: root mean square step of the optimum's random walk, in the half of episodes that have one.
        event_rate: how often the optimum moves to another place; `eventless` of the episodes have none.
        jump: root mean square distance between two places.
        gradual_rounds: how long a gradual move takes.
        places: how many places recurring drift returns to.
        level: standard deviation of the log floor of a place: some domains have losses that no learning takes
            away, and others less of them.
        burst_rate, burst_rounds, burst_factor: how often noise bursts begin, how long they last, and by how
            much the noise variance grows, in the `bursts` of episodes that have them.
        quiet: probability that a third of the episode is without any drift.
    """

    walk: Range = (0.003, 0.1)
    event_rate: Range = (1 / 120, 1 / 12)
    eventless: float = 0.1
    jump: Range = (0.5, 5.0)
    gradual_rounds: Range = (3, 20)
    places: Range = (2, 4)
    level: Range = (0.05, 0.3)
    burst_rate: Range = (1 / 200, 1 / 40)
    burst_rounds: Range = (2, 30)
    burst_factor: Range = (4.0, 30.0)
    bursts: float = 0.25
    quiet: float = 0.25

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.gradual_rounds[0] < 1 or self.places[0] < 2 or self.burst_rounds[0] < 1:
            raise ValueError("gradual_rounds and burst_rounds start from 1 at least, places from 2")


@dataclass(frozen=True, kw_only=True)
class DriftPath:
    """One drift over T rounds in d whitened coordinates.

    `optima` has shape (T, d). `log_floor`, shape (T,), is the logarithm of what multiplies the irreducible
    loss, and `noise_factor`, shape (T,), multiplies the noise variance. `moved`, shape (T,), is the prior mean
    square step into each round for someone who knows when the optimum moves but not where to; `direction`, shape
    (d,) and norm 1, shares it out. `jump` is the distance of two places. `segment`, shape (T,), grows by one at
    each event and at each end of a noise burst.
    """

    optima: Array
    log_floor: Array
    noise_factor: Array
    moved: Array
    direction: Array
    segment: Ints
    jump: float

    @property
    def move_variance(self) -> Array:
        """Prior variance of the step into each round, shape (T, d)."""
        return self.moved[:, None] * self.direction**2


def draw_path(
    rng: np.random.Generator, ranges: DriftRandomisation, *, rounds: int, direction: Array
) -> DriftPath:
    """A drift drawn from `ranges`; `direction`, shape (d,) and norm 1, scales each coordinate's moves."""
    path = DriftPath(
        optima=np.zeros((rounds, len(direction))),
        log_floor=np.zeros(rounds),
        noise_factor=np.ones(rounds),
        moved=np.zeros(rounds),
        direction=direction,
        segment=np.zeros(rounds, dtype=np.int64),
        jump=log_uniform(rng, ranges.jump),
    )
    quiet = _quiet_stretch(rng, ranges, rounds)
    _add_walk(rng, ranges, path, quiet)
    _add_events(rng, ranges, path, quiet)
    _add_bursts(rng, ranges, path)
    return path


def _quiet_stretch(rng: np.random.Generator, ranges: DriftRandomisation, rounds: int) -> slice:
    start = int(rng.integers(rounds))
    return slice(start, start + rounds // 3) if rng.random() < ranges.quiet else slice(0, 0)


def _add_walk(rng: np.random.Generator, ranges: DriftRandomisation, path: DriftPath, quiet: slice) -> None:
    size = log_uniform(rng, ranges.walk)
    if rng.random() < 0.5:
        return
    path.moved[...] = size**2
    path.moved[quiet] = 0.0
    _walk(
        path.optima,
        np.sqrt(path.moved),
        path.direction,
        rng.integers(PLACES, size=(len(path.moved), 2)),
        TABLE,
    )


@compiled
def _walk(optima: Array, sizes: Array, direction: Array, places: Ints, table: NDArray[np.float32]) -> None:
    """Add a random walk to optima: steps of these root mean square sizes, along the normal rows at `places`."""
    at = np.zeros(len(direction))
    for t in range(len(optima)):
        first, second = places[t]
        for j in range(len(direction)):
            at[j] += sizes[t] * direction[j] * (table[0, first + j] + table[1, second + j])
            optima[t, j] += at[j]


def _add_events(rng: np.random.Generator, ranges: DriftRandomisation, path: DriftPath, quiet: slice) -> None:
    """Moves to another place: at once or over several rounds, to a new place or back to one of a few."""
    rounds, d = path.optima.shape
    rate = log_uniform(rng, ranges.event_rate) * (rng.random() >= ranges.eventless)
    recurring, gradual = rng.integers(3, size=2).tolist()  # of two: never, by half, always
    spread = log_uniform(rng, ranges.level)
    # A place is an optimum and, last, its log floor; two of them are a jump apart.
    scales = np.append(path.jump / np.sqrt(2.0) * path.direction, spread)
    starts = [start for start in _times(rng, rate, rounds, least=3) if not quiet.start <= start < quiet.stop]
    count, n = _count(rng, ranges.places), len(starts)
    _visit(
        path.optima,
        path.log_floor,
        path.moved,
        path.segment,
        np.array([0, *starts]),
        np.array(
            [1, *(_count(rng, ranges.gradual_rounds) if rng.random() < gradual / 4 else 1 for _ in starts)]
        ),
        rng.integers(1, count, size=n + 1),
        rng.random(n + 1) >= recurring / 2,
        scales * rng.standard_normal((count, d + 1)),
        scales * rng.standard_normal((n + 1, d + 1)),
        path.jump,
    )
    path.log_floor[...] -= 0.5 * spread**2  # a mean factor of 1


@compiled
def _visit(
    optima: Array,
    log_floor: Array,
    moved: Array,
    segment: Ints,
    starts: Ints,
    durations: Ints,
    hops: Ints,
    new: NDArray[np.bool_],
    places: Array,
    new_places: Array,
    jump: float,
) -> None:
    """Add a way from one of a few `places`, shape (places, d + 1), to another, to all that is kept round by round.

    Visit k starts at `starts[k]`, ends the move to the one before, and arrives after `durations[k]` rounds. It is
    `hops[k]` places further on, at a place that is `new` or has been there before; the first visit is at rest.
    """
    rounds, d = optima.shape
    place, left, at = 0, places[0].copy(), places[0].copy()
    for k in range(len(starts)):
        start, end = starts[k], starts[k + 1] if k + 1 < len(starts) else rounds
        if k > 0:
            place = (place + hops[k]) % len(places)
            if new[k]:
                places[place] = new_places[k]
            moved[start : start + durations[k]] += (jump / durations[k]) ** 2
        left[:] = at
        for t in range(start, end):
            share = min((t - start + 1) / durations[k], 1.0)
            for j in range(d + 1):
                at[j] = left[j] + share * (places[place, j] - left[j])
            for j in range(d):
                optima[t, j] += at[j]
            log_floor[t] = at[d]
            segment[t] = k


def _add_bursts(rng: np.random.Generator, ranges: DriftRandomisation, path: DriftPath) -> None:
    rate = log_uniform(rng, ranges.burst_rate) * (rng.random() < ranges.bursts)
    for start in _times(rng, rate, len(path.segment), least=1):
        end = start + _count(rng, ranges.burst_rounds)
        path.noise_factor[start:end] = log_uniform(rng, ranges.burst_factor)
        path.segment[start:] += 1
        path.segment[end:] += 1


def _times(rng: np.random.Generator, rate: float, rounds: int, *, least: int) -> list[int]:
    """Rounds at which something happens: exponential gaps of mean 1/rate, none below `least`."""
    times: list[int] = []
    at = 0.0
    while rate > 0:
        at += max(least, rng.exponential(1.0 / rate))
        if at >= rounds:
            break
        times.append(int(at))
    return times


def _count(rng: np.random.Generator, bounds: Range) -> int:
    return round(log_uniform(rng, bounds))


def log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    """A number between two positive bounds, uniform in its logarithm.

    >>> log_uniform(np.random.default_rng(0), (2.0, 2.0))
    2.0
    """
    low, high = bounds
    between: float = low * (high / low) ** rng.random()
    return min(max(between, low), high)


def check_ranges(settings: object, *, beside: tuple[str, ...] = ()) -> None:
    """Refuse a pair that is not 0 < low ≤ high < ∞ and a number that is no probability."""
    for name, value in vars(settings).items():
        if name in beside:
            continue
        if isinstance(value, tuple):
            if len(value) != 2 or not 0 < value[0] <= value[1] < np.inf:
                raise ValueError(f"{name} must be a pair 0 < low <= high, not {value!r}")
        elif not 0 <= value <= 1:
            raise ValueError(f"{name} is a probability from 0 to 1, not {value!r}")
