"""The batches that many surrogate learners train on in one round, gathered and averaged at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """What a round's steps train on.

    `order`, shape (m,), are the learners that train, those with most steps first, so that the learners still
    at it at step k are the first `active[k]`. Batch number `starts[k] + i` is that of learner `order[i]` at
    step k. `mean` (batches, d + 1) and `spread` (batches,) are a batch's mean row, and what floors and the scatter
    within it add to twice its loss. `updates` and `sizes` (m,) are the steps planned and the batch sizes, `half`
    (m, d + 1) is the sum of the first half of each learner's first batch.
    """

    order: Ints
    active: Ints
    starts: Ints
    updates: Ints
    sizes: Ints
    mean: Array
    spread: Array
    half: Array


def gather_batches(
    targets: NDArray[np.float32],
    weights: Array,
    curvature: Array,
    *,
    rows: Ints,
    sizes: Ints,
    updates: Ints,
) -> Batches:
    """Batches of learners that take `updates` steps on `sizes` examples each; arrays of shape (learners,).

    `rows`, shape (learners, draws), are the rows of `targets` (and `weights`: 2f + Σ_j h_j t_j² of each) that the
    learners draw, in order. A mean is a sum over its examples one by one, which is exact in double precision
    for single-precision targets of similar size, and so does not depend on the order.
    """
    order = np.argsort(-updates, kind="stable")
    order = order[: np.count_nonzero(updates)]
    steps, places = np.nonzero(np.arange(updates.max(initial=0))[:, None] < updates[order])
    learners = order[places]
    of_batch, first = sizes[learners], steps * sizes[learners]
    mean = np.empty((len(learners), targets.shape[1]))
    square = np.empty(len(learners))
    half = np.empty((len(order), targets.shape[1]))
    for size in np.unique(of_batch):
        (which,) = np.nonzero(of_batch == size)
        drawn = rows[learners[which][:, None], first[which][:, None] + np.arange(size)]
        starters = np.count_nonzero(which < len(order))  # first batches come first
        total, halves = _sums(targets.take(drawn, axis=0), int(starters))
        half[which[:starters]] = halves
        mean[which] = total / size
        square[which] = weights.take(drawn).mean(axis=1)
    active = np.bincount(steps) if len(steps) else np.zeros(0, dtype=np.int64)
    return Batches(
        order=order,
        active=active,
        starts=np.cumsum(active) - active,
        updates=updates[order],
        sizes=sizes[order],
        mean=mean,
        spread=square - np.einsum("bd,bd,bd->b", mean, mean, curvature[learners]),
        half=half,
    )


def _sums(examples: NDArray[np.float32], starters: int) -> tuple[Array, Array]:
    """Sums of batches (b, size, d) over their examples, and of the first half of the first `starters`."""
    size = examples.shape[1]
    total = np.zeros((len(examples), examples.shape[2]))
    half = total[:starters].copy()
    for k in range(size):
        total += examples[:, k]
        if k + 1 == size // 2:
            half = total[:starters].copy()
    return total, half
