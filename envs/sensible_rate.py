"""The constant configuration that suits a surrogate task: what the reference learner runs."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.learners.cost import CostModel
from olrl.learners.quadratic import BETA1, BETA2

from .compiled import compiled
from .documents import Documents

Array = NDArray[np.float64]

WINDOWS = (1, 2, 4, 8)
# Of the rate times the largest curvature. SGD diverges from 2 on: a sensible user keeps two octaves away.
_SGD_OCTAVES = np.arange(-11.0, 0.0)
_ADAMW_OCTAVES = np.arange(-12.0, 2.0)  # of the rate times the root of the largest curvature
# Octaves. Best rates of 48 tasks lay 0.2 above the estimate; more of it levels the costs of half and double.
_CORRECTION = 0.4
_LANES = 8  # what a processor computes at once, at least
_LUMP = 6  # rounds computed as one
_THIN = 4  # lumps after which the part of documents is computed anew


class _Chunks(NamedTuple):
    """How the mean of a window's chunks varies beside its domain's optimum, in units of one example's variance.

    `level` is its variance, `persistence` the correlation from one round to the next if it decayed
    geometrically (matched on the sum over all lags), `shared` the covariance of the next chunk with it, which
    falls by `decay` with each further round.
    """

    level: float
    persistence: float
    shared: float
    decay: float


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
    losses = _losses(
        unit * np.exp2(octaves),
        curvature if sgd else np.sqrt(curvature),
        start,
        optima,
        noise_std[::_LUMP] ** 2,
        documents.variance,
        documents.ends,
        cost.updates(batch_size),
        batch_size,
        documents.number.shape[1],
        sgd,
    )
    best = int(losses.min(axis=1).argmin())
    octave = _lowest(octaves, losses[best]) + _CORRECTION
    return Base(lr=float(unit * np.exp2(octave)), batch_size=batch_size, window=WINDOWS[best])


@compiled
def _losses(
    rates: Array,
    scale: Array,
    start: Array,
    optima: Array,
    noise: Array,
    offsets: Array,
    ends: float,
    updates: int,
    batch_size: int,
    chunk: int,
    sgd: bool,
) -> Array:
    """Twice the excess losses summed over the rounds, shape (windows, rates), infinite where not looked at.

    Rates are multiplied by `scale` (d,) for the coordinates, `noise` (lumps,) is the variance of a target in each,
    `offsets` (d,) that of the documents' offsets, and these end after an example with probability `ends`. Each
    window's losses are walked downhill from where the last one was best. They may have a second valley, of rates
    that follow documents instead of domains, but the lowest loss of all lay in the one found in 600 tasks of 600.
    """
    losses = np.full((len(WINDOWS), len(rates)), np.inf)
    width = (len(start) + _LANES - 1) // _LANES * _LANES  # coordinates of zeros add nothing to a loss
    scale, start, offsets = _padded(scale, width), _padded(start, width), _padded(offsets, width)
    now, lag = np.zeros((len(noise), width)), np.zeros((len(noise), width))
    _window_means(optima, 1, now)
    in_time = 1.0 if sgd else _in_time(updates, (1.0 - ends) ** chunk)
    best = len(rates) // 2
    for w, window in enumerate(WINDOWS):
        _window_means(optima, window, lag)
        text, sample = _of_documents(ends, chunk, window, in_time), _of_noise(chunk, window)
        looked = np.zeros(len(rates), dtype=np.bool_)
        while True:
            for k in range(max(best - 1, 0), min(best + 2, len(rates))):
                if not looked[k]:
                    rate = rates[k] * scale
                    loss = _loss(
                        rate, start, now, lag, noise, offsets, text, sample, updates, batch_size, sgd
                    )
                    losses[w, k] = loss if np.isfinite(loss) else np.inf  # rates that blow up lose
                    looked[k] = True
            here = losses[w, best]
            if best > 0 and (losses[w, best - 1] < here or here == np.inf):
                best -= 1
            elif best + 1 < len(rates) and losses[w, best + 1] < here:
                best += 1
            else:
                break
    return losses


@compiled
def _padded(vector: Array, width: int) -> Array:
    padded = np.zeros(width)
    padded[: len(vector)] = vector
    return padded


@compiled
def _loss(
    rates: Array,
    start: Array,
    now: Array,
    lag: Array,
    noise: Array,
    offsets: Array,
    text: _Chunks,
    sample: _Chunks,
    updates: int,
    batch_size: int,
    sgd: bool,
) -> float:
    """Twice the excess loss at rates (d,), of a window whose means are `lag`; `now` are the optima, (lumps, d)."""
    d = len(start)
    at, variance, square, beside = start.copy(), np.zeros(d), np.zeros(d), np.empty(d)
    r, left, still, of_batch = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    memory = 1.0 - BETA2 ** (updates * _LUMP)  # of AdamW's mean square gradient
    loss = 0.0
    for n in range(len(lag)):
        grown = max(memory, 1.0 / (n + 1.0))
        for j in range(d):
            error = at[j] - lag[n, j]
            of_batch[j] = (noise[n] + offsets[j] * (1.0 - text.level)) / batch_size
            of_window = offsets[j] * text.level + noise[n] * sample.level
            square[j] += grown * (error * error + variance[j] + of_batch[j] + of_window - square[j])
            r[j] = rates[j] if sgd else rates[j] / math.sqrt(square[j])
            left[j] = 1.0 - r[j]
        _power(left, updates, still)
        if n % _THIN == 0:
            for j in range(d):
                of_text = offsets[j] * _tracked(text, still[j])
                beside[j] = of_text + noise[n] * _tracked(sample, still[j])
        for j in range(d):
            apart = at[j] - now[n, j]
            loss += apart * apart + variance[j] + beside[j]
            decay = still[j] ** _LUMP
            at[j] = lag[n, j] + decay * (at[j] - lag[n, j])
            settled = r[j] * of_batch[j] / (2.0 - r[j])
            variance[j] = settled + decay * decay * (variance[j] - settled)
    return loss


@compiled
def _power(base: Array, exponent: int, out: Array) -> None:
    """Powers by repeated squaring; `base` is used up."""
    out[:] = 1.0
    while exponent:
        if exponent % 2:
            for j in range(len(base)):
                out[j] *= base[j]
        for j in range(len(base)):
            base[j] *= base[j]
        exponent //= 2


@compiled
def _tracked(chunks: _Chunks, b: float) -> float:
    """Mean square distance from the next chunk, less a constant, of a learner that moves by 1 − b a round.

    That is an exponential average of a geometric process: its variance minus twice the covariance.
    """
    a = 1.0 - b
    variance = (
        chunks.level * a * (1.0 + b * chunks.persistence) / ((1.0 + b) * (1.0 - b * chunks.persistence))
    )
    return variance - 2.0 * chunks.shared * a / (1.0 - b * chunks.decay)


@compiled
def _of_documents(ends: float, chunk: int, window: int, in_time: float) -> _Chunks:
    """Of offsets that last for geometric times."""
    q = 1.0 - ends
    fades = q**chunk
    same, follows = (
        1.0 / chunk,
        fades / chunk,
    )  # that two examples are of one document
    for apart in range(1, chunk):
        pairs = (chunk - apart) / chunk**2
        same += 2.0 * pairs * q**apart
        follows += pairs * (q ** (chunk + apart) + q ** (chunk - apart))
    level, shared = window * same, 0.0
    for lag in range(window):
        level += 2.0 * follows * (window - 1 - lag) * fades**lag
        shared += follows * fades**lag / window
    level /= window**2
    total = same + 2.0 * follows / (1.0 - fades)  # over all lags: a window's mean leaves it as it is
    return _Chunks(level, (total - level) / (total + level), shared * in_time, fades)


@compiled
def _of_noise(chunk: int, window: int) -> _Chunks:
    """Of the mean of a window's noise, which steps on a small window learn by heart."""
    return _Chunks(1.0 / (chunk * window), (window - 1.0) / (window + 1.0), 0.0, 0.0)


@compiled
def _in_time(updates: int, decay: float) -> float:
    """What is left of a covariance with the next chunk where momentum delays the moves.

    Of a gradient's effect, a part falls into its own round and the rest into later ones, each of which has the
    share β^updates of the one before.
    """
    fading = BETA1**updates
    later = BETA1 * (1 - fading) / (updates * (1 - BETA1))
    return 1.0 - later + later * (1 - fading) * decay / (1 - fading * decay)


@compiled
def _window_means(optima: Array, window: int, means: Array) -> None:
    """Means of the newest `window` optima at the beginnings of lumps, into `means`, shape (lumps, d)."""
    for n in range(len(means)):
        last = n * _LUMP
        first = max(last + 1 - window, 0)
        means[n] = 0.0
        for t in range(first, last + 1):
            for j in range(optima.shape[1]):
                means[n, j] += optima[t, j] / (last + 1 - first)


def _lowest(octaves: Array, losses: Array) -> float:
    """Where a parabola through the lowest loss and its neighbours is lowest."""
    best = int(losses.argmin())
    if best in (0, len(losses) - 1) or not np.isfinite(losses[best + 1]):
        return float(octaves[best])
    left, middle, right = losses[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return float(octaves[best] + (0.5 * (left - right) / bend if bend > 0 else 0.0))
