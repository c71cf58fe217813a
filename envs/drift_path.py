"""How the optimum of a surrogate task moves, and how noisy its targets are, round by round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    loss, and `noise_factor`, shape (T,), multiplies the noise variance. `move_variance`,
    shape (T, d), is the prior variance of the step into each round for someone who knows when the optimum
    moves but not where to. `jump` is the distance of two places. `segment`, shape (T,), grows by one at each
    event and at each end of a noise burst.
    """

    optima: NDArray[np.float64]
    log_floor: NDArray[np.float64]
    noise_factor: NDArray[np.float64]
    move_variance: NDArray[np.float64]
    segment: NDArray[np.int64]
    jump: float


def draw_path(
    rng: np.random.Generator, ranges: DriftRandomisation, *, rounds: int, direction: NDArray[np.float64]
) -> DriftPath:
    """A drift drawn from `ranges`; `direction`, shape (d,) and norm 1, scales each coordinate's moves."""
    path = DriftPath(
        optima=np.zeros((rounds, len(direction))),
        log_floor=np.zeros(rounds),
        noise_factor=np.ones(rounds),
        move_variance=np.zeros((rounds, len(direction))),
        segment=np.zeros(rounds, dtype=np.int64),
        jump=log_uniform(rng, ranges.jump),
    )
    quiet = _quiet_stretch(rng, ranges, rounds)
    _add_walk(rng, ranges, path, direction, quiet)
    _add_events(rng, ranges, path, direction, quiet)
    _add_bursts(rng, ranges, path)
    return path


def _quiet_stretch(rng: np.random.Generator, ranges: DriftRandomisation, rounds: int) -> slice:
    start = int(rng.integers(rounds))
    return slice(start, start + rounds // 3) if rng.random() < ranges.quiet else slice(0, 0)


def _add_walk(
    rng: np.random.Generator,
    ranges: DriftRandomisation,
    path: DriftPath,
    direction: NDArray[np.float64],
    quiet: slice,
) -> None:
    scale = log_uniform(rng, ranges.walk) * (rng.random() < 0.5)
    steps = scale * direction * rng.standard_normal(path.optima.shape)
    steps[quiet] = 0.0
    path.optima[...] += steps.cumsum(axis=0)
    path.move_variance[...] += (scale * direction) ** 2
    path.move_variance[quiet] = 0.0


def _add_events(
    rng: np.random.Generator,
    ranges: DriftRandomisation,
    path: DriftPath,
    direction: NDArray[np.float64],
    quiet: slice,
) -> None:
    """Moves to another place: at once or over several rounds, to a new place or back to one of a few."""
    rounds = len(path.optima)
    rate = log_uniform(rng, ranges.event_rate) * (rng.random() >= ranges.eventless)
    scale = path.jump / np.sqrt(2.0) * direction  # so that two places are a jump apart
    recurring, gradual = rng.choice([0.0, 0.5, 1.0], size=2)
    spread = log_uniform(rng, ranges.level)
    scales = np.append(scale, spread)  # a place is an optimum and, last, its log floor
    places = scales * rng.standard_normal((_count(rng, ranges.places), len(scales)))
    place, at = 0, np.tile(places[0], (rounds, 1))
    for start in _times(rng, rate, rounds, least=3):
        if quiet.start <= start < quiet.stop:
            continue
        place = (place + int(rng.integers(1, len(places)))) % len(places)
        if rng.random() >= recurring:
            places[place] = scales * rng.standard_normal(len(scales))
        steps = _count(rng, ranges.gradual_rounds) if rng.random() < gradual / 2 else 1
        share = np.clip((np.arange(rounds - start) + 1.0) / steps, 0.0, 1.0)[:, None]
        at[start:] += share * (places[place] - at[start:])
        path.move_variance[start : start + steps] += 2 * (scale / steps) ** 2
        path.segment[start:] += 1
    path.optima[...] += at[:, :-1]
    path.log_floor[...] = at[:, -1] - 0.5 * spread**2  # a mean factor of 1


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
    return float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), low, high))


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
