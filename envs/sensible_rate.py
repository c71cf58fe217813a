"""The learning rate that suits a surrogate task on average: what the reference learner runs."""

import numpy as np
from numpy.typing import NDArray

from olrl.learners.quadratic import BETA2

# Of the rate times the largest curvature. SGD diverges from 2 on: a sensible user keeps two octaves away.
_SGD_OCTAVES = np.arange(-11.0, 0.0)
_ADAMW_OCTAVES = np.arange(-12.0, 2.0)  # of the rate times the root of the largest curvature
_ADAMW_CORRECTION = 0.35  # octaves the estimate falls short by, measured on 24 problems of 300 rounds
_LUMP = 5  # rounds computed as one


def sensible_lr(
    *,
    curvature: NDArray[np.float64],
    start: NDArray[np.float64],
    optima: NDArray[np.float64],
    noise_std: NDArray[np.float64],
    optimizer: str,
    updates: int,
    batch_size: int,
    window: int,
) -> float:
    """A constant learning rate near the best one for this drift, in expectation over the noise.

    Follows mean and variance of the error in each whitened coordinate (`start` (d,), `optima` (T, d),
    `noise_std` (T,) are in these) under `updates` steps a round on the mean of the window, for a ladder of
    rates a factor two apart, and puts a parabola through the best three. AdamW is taken as SGD whose rate is
    divided by the root mean square gradient of its memory, without momentum. Good to a factor of about two,
    at a hundredth of the cost of trying rates.
    """
    sgd = optimizer == "sgd"
    octaves = _SGD_OCTAVES if sgd else _ADAMW_OCTAVES
    unit = 1.0 / curvature[0] if sgd else 1.0 / np.sqrt(curvature[0])
    rates = unit * np.exp2(octaves)[:, None] * (curvature if sgd else np.sqrt(curvature))
    lag = _window_means(optima, window)
    steps = updates * _LUMP
    variance_of_mean = noise_std**2 / batch_size
    with np.errstate(all="ignore"):  # rates that blow up lose by being infinite
        losses = _losses(rates, start, optima, lag, variance_of_mean, steps=steps, sgd=sgd)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return float(unit * np.exp2(_lowest(octaves, losses) + (0.0 if sgd else _ADAMW_CORRECTION)))


def _losses(
    rates: NDArray[np.float64],
    start: NDArray[np.float64],
    optima: NDArray[np.float64],
    lag: NDArray[np.float64],
    variance_of_mean: NDArray[np.float64],
    *,
    steps: int,
    sgd: bool,
) -> NDArray[np.float64]:
    """Excess losses summed over the rounds, one for each row of `rates` (per whitened coordinate)."""
    at = np.broadcast_to(start, rates.shape).copy()
    variance = np.zeros_like(at)
    square = np.zeros_like(at)  # mean square gradient over AdamW's memory
    losses = np.zeros(len(rates))
    memory = 1.0 - BETA2**steps
    for n, k in enumerate(range(0, len(optima), _LUMP)):
        losses += ((at - optima[k]) ** 2 + variance).sum(axis=1)
        error = at - lag[k]
        noise = variance_of_mean[k]
        r = rates
        if not sgd:
            square += max(memory, 1.0 / (n + 1)) * (error**2 + variance + noise - square)
            r = rates / np.sqrt(square)
        decay = (1.0 - r) ** steps
        at = lag[k] + decay * error
        variance = decay**2 * variance + r * noise * (1.0 - decay**2) / (2.0 - r)
    return losses


def _window_means(optima: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of the newest `window` optima at each round, shape (T, d)."""
    sums = np.vstack([np.zeros(optima.shape[1]), optima.cumsum(axis=0)])
    ends = np.arange(1, len(optima) + 1)
    starts = np.maximum(ends - window, 0)
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
    return means


def _lowest(octaves: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Where a parabola through the lowest loss and its neighbours, all in logarithms, is lowest."""
    best = int(losses.argmin())
    if best in (0, len(losses) - 1) or not np.isfinite(losses[best + 1]):
        return float(octaves[best])
    left, middle, right = np.log(losses[best - 1 : best + 2])
    bend = left - 2 * middle + right
    return float(octaves[best] + (0.5 * (left - right) / bend if bend > 0 else 0.0))
