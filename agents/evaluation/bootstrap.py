"""Intervals for figures that were measured with several policies on several streams."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# What a resample may lack (a score whose denominator is 0) before the interval is withheld.
MAX_UNDEFINED = 0.05

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with the ends of its 95 % interval, in the estimate's own unit.

    `low` and `high` are None where nothing could be resampled: a single stream says nothing of others.
    `over` names what was resampled, "policies and streams" or "streams".
    """

    value: float
    low: float | None
    high: float | None
    over: str


def crossed_bootstrap(
    tables: NDArray[np.float64], statistic: Statistic, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The statistic of a table of policies × streams, with a percentile interval over both.

    `tables` has shape (k, policies, streams): k tables of the same pairs, say losses and a rival's losses.
    `statistic` gets resamples of them, shape (k, resamples, policies, streams), and answers with shape
    (resamples,), NaN where it is undefined. With one policy only streams are drawn, and the interval says nothing
    of other policies. Percentile intervals of a factor with few levels are too narrow, by about √((n-1)/n).

    >>> table = np.array([[[1.0, 2.0, 3.0, 2.0]]])
    >>> crossed_bootstrap(table, lambda drawn: drawn[0].mean(axis=(1, 2)))
    Interval(value=2.0, low=1.25, high=2.75, over='streams')
    """
    _, policies, streams = tables.shape
    value = float(statistic(tables[:, None])[0])
    over = "policies and streams" if policies > 1 else "streams"
    if streams < 2:
        return Interval(value=value, low=None, high=None, over=over)
    found = statistic(resampled(tables, resamples=resamples, seed=seed))
    defined = found[np.isfinite(found)]
    if len(defined) < (1 - MAX_UNDEFINED) * resamples:
        return Interval(value=value, low=None, high=None, over=over)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value=value, low=float(low), high=float(high), over=over)


def resampled(tables: NDArray[np.float64], *, resamples: int, seed: int) -> NDArray[np.float64]:
    """Resamples of tables of policies × streams, shape (k, resamples, policies, streams).

    Policies are drawn with replacement, streams too, independently: every drawn policy meets every drawn stream,
    since a lucky policy is lucky on all its streams (Owen 2007, "The pigeonhole bootstrap",
    doi:10.1214/07-AOAS122).
    """
    _, policies, streams = tables.shape
    rng = np.random.default_rng(seed)
    of_policies = rng.integers(policies, size=(resamples, policies, 1))
    of_streams = rng.integers(streams, size=(resamples, 1, streams))
    return np.asarray(tables[:, of_policies, of_streams])
