"""What is new in a loss: its one-step surprise in units of its usual surprise."""

import math
from dataclasses import asdict, dataclass

CLIP = 6.0  # in units of the usual surprise: one wild value must not stand for a drift
SLOW = 0.05  # weight of a new value in every running figure: a memory of about 20 rounds
USUAL = 3.0  # what lies further out is taken in as this many units: a jump must not widen its own measure
MAX_AUTOCORRELATION = 0.9
_SMALLEST = -14.0


@dataclass
class _State:
    count: int = 0
    level: float = 0.0
    deviation: float = 0.0  # of the last value from the level before it
    usual: float = 0.0  # the same, bounded
    covariance: float = 0.0
    variance: float = 0.0
    scale: float = 0.0


class Innovations:
    """Standardised one-step prediction errors of log loss, clipped to ±6.

    Losses of neighbouring rounds resemble each other, and fall while a learner learns; detectors made for
    independent input take either for drift. So log loss is predicted one step ahead: a slow mean, plus the
    lag-one autocorrelation (estimated as it goes) times the last deviation from that mean. What is left is
    divided by its running root mean square. `log_size` is the natural logarithm of the last error's size
    before that division, at least −14: bursts of noise show in it.

    >>> innovations = Innovations()
    >>> [innovations.update(loss) for loss in (2.0, 2.0, 2.0)]
    [0.0, 0.0, 0.0]
    >>> innovations.update(4.0)
    6.0
    """

    def __init__(self) -> None:
        self._state = _State()
        self.log_size = _SMALLEST

    def update(self, loss_nats: float) -> float:
        """The surprise in a loss, positive for a rise; ValueError unless the loss is finite.

        Losses at or below zero count as 1e-12.
        """
        if not math.isfinite(loss_nats):
            raise ValueError(f"a detector takes finite losses, not {loss_nats!r}: leave such a round out")
        value = math.log(max(loss_nats, 1e-12))
        self._state.count += 1
        if self._state.count == 1:
            self._state.level = value
            return 0.0
        return self._surprise(value)

    def _surprise(self, value: float) -> float:
        s = self._state
        weight = max(SLOW, 1.0 / s.count)  # a plain mean until the memory is full
        deviation = value - s.level
        correlation = s.covariance / s.variance if s.variance > 0 else 0.0
        error = deviation - min(max(correlation, 0.0), MAX_AUTOCORRELATION) * s.deviation
        self.log_size = math.log(max(abs(error), math.exp(_SMALLEST)))
        spread = math.sqrt(s.variance)
        usual = _bounded(deviation, USUAL * spread) if spread > 0 else deviation
        z = _bounded(error / s.scale, CLIP) if s.scale > 0 else _sign(error) * CLIP
        taken_in = _bounded(error, USUAL * s.scale) if s.scale > 0 else error
        s.scale = math.sqrt(s.scale * s.scale + weight * (taken_in * taken_in - s.scale * s.scale))
        s.covariance += weight * (usual * s.usual - s.covariance)
        s.variance += weight * (usual * usual - s.variance)
        s.level += weight * deviation
        s.deviation, s.usual = deviation, usual
        return z

    def state_dict(self) -> dict[str, float]:
        """The running figures, JSON-able."""
        return asdict(self._state)

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from `state_dict()`."""
        self._state = _State(**{**state, "count": int(state["count"])})  # type: ignore[arg-type]  # floats, one int


def _bounded(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0
