"""What is claimed of an entrant against a rival, each figure with its interval."""

import math

import numpy as np
from numpy.typing import NDArray

from .bootstrap import RESAMPLES, Interval, crossed_bootstrap
from .pairs import Pairs

WORST_SHARE = 0.05


def iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean over the last axis: the mean of what is left without the lowest and highest quarter.

    Of n values floor(n / 4) are dropped at each end, as in Agarwal et al. 2021, "Deep reinforcement learning at the
    edge of the statistical precipice" (arXiv:2108.13264): less at the mercy of single streams than the mean, and
    less wasteful than the median.

    >>> float(iqm(np.array([-90.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 800.0])))
    3.5
    """
    n = values.shape[-1]
    cut = n // 4
    if cut == 0:
        return np.asarray(values.mean(axis=-1))
    parted = np.partition(values, (cut, n - cut - 1), axis=-1)  # all that the mean needs of an order
    return np.asarray(parted[..., cut : n - cut].mean(axis=-1))


def iqm_percent(pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Interquartile mean over (policy, stream) of the difference in per cent of the rival's loss."""
    return crossed_bootstrap(
        pairs.percent[None], lambda drawn: iqm(_flat(drawn[0])), resamples=resamples, seed=seed
    )


def mean_difference(pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean difference of the losses, bits a byte; negative is better."""
    return crossed_bootstrap(
        pairs.difference[None], lambda drawn: drawn[0].mean(axis=(-2, -1)), resamples=resamples, seed=seed
    )


def improvement(pairs: Pairs, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Share of (policy, stream) pairs with a lower loss than the rival's, a tie being half a pair; 0 to 1.

    Agarwal et al. 2021 call the same thing, over unpaired runs, the probability of improvement.
    """
    better = np.where(pairs.difference == 0, 0.5, pairs.difference < 0)
    return crossed_bootstrap(
        better[None], lambda drawn: drawn[0].mean(axis=(-2, -1)), resamples=resamples, seed=seed
    )


def normalised_score(
    pairs: Pairs, best: Pairs, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Σ(L_fixed - L) / Σ(L_fixed - L_segment-best) over all policies and the streams of one kind of drift.

    `pairs` and `best` are an entrant and `segment-best`, both against `fixed`. 0 is the constant tuned on training
    streams, 1 the best configuration of each segment; more than 1 is legal, since what is best for a segment by
    itself need not be best for what follows. Sums, not means of ratios: a stream on which nothing can be gained
    would blow up a ratio. None where the sum below is not positive: nothing could be gained.

    Raises ValueError when the two are not on the same streams.
    """
    if set(pairs.streams) != set(best.streams):
        odd = sorted(set(pairs.streams) ^ set(best.streams))[0]
        raise ValueError(
            f"no score: stream {odd!r} was run by only one of {pairs.entrant!r} and {best.entrant!r}"
        )
    order = [best.streams.index(stream) for stream in pairs.streams]
    possible = np.broadcast_to(-best.difference[0, order], pairs.difference.shape)
    if not possible.sum() > 0:
        return None

    def ratio(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        gained, possible = drawn.sum(axis=(-2, -1))
        undefined = np.full_like(gained, np.nan)
        return np.asarray(np.divide(gained, possible, out=undefined, where=possible > 0))

    return crossed_bootstrap(np.stack([-pairs.difference, possible]), ratio, resamples=resamples, seed=seed)


def worst_percent(pairs: Pairs) -> float:
    """Mean difference in per cent over the worst 5 % of (policy, stream) pairs, of at least one."""
    ordered = np.sort(pairs.percent, axis=None)
    return float(ordered[-max(1, math.ceil(WORST_SHARE * ordered.size)) :].mean())


def _flat(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    return drawn.reshape(len(drawn), -1)
