"""The constant configuration that suits a surrogate task: what the reference learner runs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.learners.quadratic import BETA1, BETA2

from .documents import Documents

Array = NDArray[np.float64]

WINDOWS = (1, 2, 4, 8)
# Of the rate times the largest curvature. SGD diverges from 2 on: a sensible user keeps two octaves away.
_SGD_OCTAVES = np.arange(-11.0, 0.0)
_ADAMW_OCTAVES = np.arange(-12.0, 2.0)  # of the rate times the root of the largest curvature
# Octaves. Best rates of 48 tasks lay 0.2 above the estimate; more of it levels the costs of half and double.
_CORRECTION = 0.4
_LUMP = 6  # rounds computed as one
_THIN = 4  # lumps after which the part of documents is computed anew


@dataclass(frozen=True, kw_only=True)
class _Chunks:
    """How the mean of a window's chunks varies beside its domain's optimum, in units of one example's variance.

    `level` is its variance, `persistence` the correlation from one round to the next if it decayed
    geometrically (matched on the sum over all lags), `shared` the covariance of the next chunk with it, which
    falls by `decay` with each further round. Arrays have shape (windows, 1, 1).
    """

    level: Array
    persistence: Array
    shared: Array
    decay: float

    def tracked(self, a: Array) -> Array:
        """Mean square distance from the next chunk, less a constant, of a learner that moves by `a` a round.

        That is an exponential average of a geometric process: its variance minus twice the covariance.
        """
        b = 1.0 - a
        variance = self.level * a / (1.0 + b) * (1.0 + b * self.persistence) / (1.0 - b * self.persistence)
        following: Array = variance - 2.0 * self.shared * a / (1.0 - b * self.decay)
        return following


def sensible_base(
    *,
    curvature: Array,
    start: Array,
    optima: Array,
    noise_std: Array,
    documents: Documents,
    optimizer: str,
    cost: CostModel,
) -> Base:
    """A constant rate and window near the best ones for this drift, in expectation over noise and documents.

    Follows mean and variance of the error in each whitened coordinate (`start` (d,), `optima` (T, d),
    `noise_std` (T,) and the documents' variance are in these) under steps on the mean of a window, for a
    ladder of rates a factor two apart and windows up to 8 chunks, and puts a parabola through the best three
    rates. What documents add is that of an exponential average of their offsets. AdamW is taken as SGD whose
    rate is divided by the root mean square gradient of its memory; its momentum delays what is learnt of a
    document. Good to a factor of about two, at a hundredth of the cost of trying rates. The batch size is 2, 4
    or 8, as updates are cheap or dear.
    """
    batch_size = next((size for size in (2, 4) if size >= cost.update_cost / 2), 8)
    sgd = optimizer == "sgd"
    octaves = _SGD_OCTAVES if sgd else _ADAMW_OCTAVES
    unit = 1.0 / curvature[0] if sgd else 1.0 / np.sqrt(curvature[0])
    rates = unit * np.exp2(octaves)[:, None] * (curvature if sgd else np.sqrt(curvature))
    with np.errstate(all="ignore"):  # rates that blow up lose by being infinite
        losses = _losses(
            rates,
            start,
            optima,
            noise_std**2,
            documents,
            updates=cost.updates(batch_size),
            batch_size=batch_size,
            chunk=documents.number.shape[1],
            sgd=sgd,
        )
    losses = np.where(np.isfinite(losses), losses, np.inf)
    best = int(losses.min(axis=1).argmin())
    octave = _lowest(octaves, losses[best]) + _CORRECTION
    return Base(lr=float(unit * np.exp2(octave)), batch_size=batch_size, window=WINDOWS[best])


def _losses(
    rates: Array,
    start: Array,
    optima: Array,
    noise: Array,
    documents: Documents,
    *,
    updates: int,
    batch_size: int,
    chunk: int,
    sgd: bool,
) -> Array:
    """Twice the excess losses summed over the rounds, shape (windows, rates)."""
    text, sample = _of_documents(documents.ends, chunk), _of_noise(chunk)
    if not sgd:
        text = replace(text, shared=text.shared * _in_time(updates, text.decay))
    scatter = documents.variance * (1.0 - text.level)  # of documents within a window
    lag = np.stack([_window_means(optima, window) for window in WINDOWS])[:, :, None]
    at, variance = np.broadcast_to(start, (len(WINDOWS), *rates.shape)), np.zeros(())
    square = np.zeros(())  # mean square gradient over AdamW's memory
    losses = np.zeros(at.shape)
    memory = 1.0 - BETA2 ** (updates * _LUMP)
    for n, k in enumerate(range(0, len(optima), _LUMP)):
        error = at - lag[:, k]
        of_batch = (noise[k] + scatter) / batch_size
        r = rates
        if not sgd:
            of_window = text.level * documents.variance + sample.level * noise[k]
            square = square + max(memory, 1.0 / (n + 1)) * (
                error**2 + variance + of_batch + of_window - square
            )
            r = rates / np.sqrt(square)
        still = (1.0 - r) ** updates
        if n % _THIN == 0:
            a = 1.0 - still
            beside = documents.variance * text.tracked(a) + noise[k] * sample.tracked(a)
        losses += (at - optima[k]) ** 2 + variance + beside
        decay = still**_LUMP
        at = lag[:, k] + decay * error
        variance = decay**2 * variance + r * of_batch * (1.0 - decay**2) / (2.0 - r)
    summed: Array = losses.sum(axis=2)
    return summed


def _of_documents(ends: float, chunk: int) -> _Chunks:
    """Of offsets that last for geometric times."""
    q = 1.0 - ends
    apart = np.arange(chunk)[:, None] - np.arange(chunk)
    same = float((q ** np.abs(apart)).mean())  # two examples of a chunk are of one document
    follows = float((q ** (chunk + apart)).mean())  # two of neighbouring chunks are
    fades = q**chunk
    lags = np.arange(max(WINDOWS))
    powers = fades**lags
    level = np.array([w * same + 2 * follows * ((w - lags[1:w]) * powers[: w - 1]).sum() for w in WINDOWS])
    level /= np.square(WINDOWS)
    total = same + 2 * follows / (1 - fades)  # over all lags: a window's mean leaves it as it is
    return _Chunks(
        level=_by_window(level),
        persistence=_by_window((total - level) / (total + level)),
        shared=_by_window(np.array([follows * powers[:w].mean() for w in WINDOWS])),
        decay=fades,
    )


def _in_time(updates: int, decay: float) -> float:
    """What is left of a covariance with the next chunk where momentum delays the moves.

    Of a gradient's effect, a part falls into its own round and the rest into later ones, each of which has the
    share β^updates of the one before.
    """
    fading = BETA1**updates
    later = BETA1 * (1 - fading) / (updates * (1 - BETA1))
    return 1.0 - later + later * (1 - fading) * decay / (1 - fading * decay)


def _of_noise(chunk: int) -> _Chunks:
    """Of the mean of a window's noise, which steps on a small window learn by heart."""
    windows = np.array(WINDOWS, dtype=np.float64)
    return _Chunks(
        level=_by_window(1 / (chunk * windows)),
        persistence=_by_window((windows - 1) / (windows + 1)),
        shared=_by_window(np.zeros(len(windows))),
        decay=0.0,
    )


def _by_window(values: Array) -> Array:
    return values[:, None, None]


def _window_means(optima: Array, window: int) -> Array:
    """Mean of the newest `window` optima at each round, shape (T, d)."""
    sums = np.vstack([np.zeros(optima.shape[1]), optima.cumsum(axis=0)])
    ends = np.arange(1, len(optima) + 1)
    starts = np.maximum(ends - window, 0)
    means: Array = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
    return means


def _lowest(octaves: Array, losses: Array) -> float:
    """Where a parabola through the lowest loss and its neighbours is lowest."""
    best = int(losses.argmin())
    if best in (0, len(losses) - 1) or not np.isfinite(losses[best + 1]):
        return float(octaves[best])
    left, middle, right = losses[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return float(octaves[best] + (0.5 * (left - right) / bend if bend > 0 else 0.0))
