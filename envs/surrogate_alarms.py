"""The drift alarms of many surrogates, compiled: what `DetectorBank` says of their losses.

Page-Hinkley is river's (the test of Page, 1954), and `Innovations` the project's.
"""

import math

import numpy as np

from olrl.monitor.detectors import KEEP, PAGE_HINKLEY
from olrl.monitor.innovations import CLIP, MAX_AUTOCORRELATION, SLOW, USUAL

from .compiled import compiled
from .quadratic_problem import DETECTORS
from .surrogate_state import REMEMBERED, ROW, Array, Detectors, Ints, Surrogates

_LOSS, _ALARMS, _SINCE = ROW["loss_nats"], ROW["alarms"], ROW["rounds_since_alarm"]
_THRESHOLDS = np.array([PAGE_HINKLEY[name].threshold for name in DETECTORS])
_FALLS = np.array([name == "page-hinkley" for name in DETECTORS])  # count, not rises alone
_LEAST, _DELTA, _ALPHA = PAGE_HINKLEY["page-hinkley"][1:]
assert all(PAGE_HINKLEY[name][1:] == (_LEAST, _DELTA, _ALPHA) for name in DETECTORS)


@compiled
def raise_alarms(state: Surrogates, which: Ints) -> None:
    """Count the detectors that fire on the losses just measured of the surrogates in `which`."""
    signals, detectors = state.signals, state.detectors
    for i in which:
        alarms = 0
        if math.isfinite(signals[_LOSS, i]):
            surprise = innovation(detectors.innovations[i], signals[_LOSS, i])
            for k in range(len(_THRESHOLDS)):
                alarms += watch(detectors, i, k, surprise)
        signals[_ALARMS, i] = alarms
        signals[_SINCE, i] = 0.0 if alarms else signals[_SINCE, i] + (state.tasks[i].t > 0)


@compiled
def innovation(state: Array, loss_nats: float) -> float:
    """The surprise in a loss: `Innovations.update`, on its state of shape (7,)."""
    value = math.log(max(loss_nats, 1e-12))
    state[0] += 1.0
    if state[0] == 1.0:
        state[1] = value
        return 0.0
    count, level, last, last_usual, covariance, variance, scale = state
    weight = max(SLOW, 1.0 / count)
    deviation = value - level
    correlation = covariance / variance if variance > 0 else 0.0
    error = deviation - min(max(correlation, 0.0), MAX_AUTOCORRELATION) * last
    spread = math.sqrt(variance)
    usual = _bounded(deviation, USUAL * spread) if spread > 0 else deviation
    taken_in = _bounded(error, USUAL * scale) if scale > 0 else error
    state[1] = level + weight * deviation
    state[2], state[3] = deviation, usual
    state[4] = covariance + weight * (usual * last_usual - covariance)
    state[5] = variance + weight * (usual * usual - variance)
    state[6] = math.sqrt(scale * scale + weight * (taken_in * taken_in - scale * scale))
    return _bounded(error / scale, CLIP) if scale > 0 else np.sign(error) * CLIP


@compiled
def watch(detectors: Detectors, i: int, k: int, surprise: float) -> bool:
    """Whether detector k fires: one that restarts after an alarm, and from its newest inputs when it has many."""
    history = detectors.history[i, k]
    fired = _feed(detectors, i, k, surprise)
    if detectors.remembered[i, k] == REMEMBERED:
        detectors.page_hinkley[i, k] = 0.0
        detectors.remembered[i, k] = 0
        for value in history[KEEP:].copy():
            _feed(detectors, i, k, value)
    return fired


@compiled
def _feed(detectors: Detectors, i: int, k: int, surprise: float) -> bool:
    state, kept = detectors.page_hinkley[i, k], detectors.remembered[i, k]
    if not _page_hinkley(state, surprise, _THRESHOLDS[k], _FALLS[k]):
        detectors.history[i, k, kept] = surprise
        detectors.remembered[i, k] = kept + 1
        return False
    state[:], detectors.remembered[i, k] = 0.0, 0
    return True


@compiled
def _page_hinkley(state: Array, x: float, threshold: float, falls: bool) -> bool:
    """River's test; `state`, shape (6,), is zero before the first value."""
    if state[0] == 0.0:
        state[3], state[5] = np.inf, -1.0
    state[0] += 1.0
    state[1] += (x - state[1]) / state[0]
    deviation = x - state[1]
    state[2] = _ALPHA * state[2] + deviation - _DELTA
    state[3] = min(state[3], state[2])
    state[4] = _ALPHA * state[4] + deviation + _DELTA
    state[5] = max(state[5], state[4])
    if state[0] < _LEAST:
        return False
    return state[2] - state[3] > threshold or (falls and state[5] - state[4] > threshold)


@compiled
def _bounded(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)
