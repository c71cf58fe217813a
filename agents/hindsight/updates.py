"""What training in a round is worth, from learners that pause and others that begin late."""

import numpy as np
from numpy.typing import NDArray

from .runs import N_CONSTANT, PAUSES, StreamRuns

Floats = NDArray[np.float64]
_MEMORY = 16  # rounds over which it counts how much of them a learner has trained in


def worth_of_training(runs: StreamRuns, running: Floats, *, tuned: int, never: int, horizon: int) -> Floats:
    """Loss that training in a round saves, summed over the rounds to come: shape (n, T).

    In per cent of the running loss `running` (T + 1,); NaN where no learner paused. What it is worth depends on
    what a learner has trained on before. To one that always trains a pause costs what it loses against the
    `tuned` run, in the pause and the `horizon` rounds after it, for each round of the pause. One that never
    does would have saved what a learner gains on the `never` run that begins to train here and goes on: over
    `horizon` rounds, for each of them. (Some rounds of training and none thereafter would tell nothing: they
    often leave a learner worse than it was, fitted to a document that is over.) Others lie between, by the
    share of the last sixteen rounds that they trained in. Runs are of the same text and draws, so that
    differences are of training alone.

    NaN too on text that the model was pretrained on: it has read the very same, and not to train is best there,
    which is so of no new text. Where the best rate lies such text tells well enough.
    """
    trained = runs.spent > 0
    pausing = np.arange(N_CONSTANT, N_CONSTANT + PAUSES)
    always, late = np.full((2, trained.shape[1]), np.nan)
    for lane in pausing:
        (at,) = np.nonzero(~trained[lane])
        if len(at):
            lost = 100.0 * (runs.loss[lane] - runs.loss[tuned]) / running
            gained = 100.0 * (runs.loss[never] - runs.loss[lane + PAUSES]) / running
            always[at] = lost[at[0] + 1 : at[-1] + 1 + horizon + 1].sum() / len(at)
            late[at] = gained[at[0] + 1 : at[0] + 1 + horizon].mean()
    share = _share_trained(trained)
    worth = share * always + (1.0 - share) * late
    return np.where(runs.familiar, np.nan, worth)


def _share_trained(trained: NDArray[np.bool_]) -> Floats:
    """Of up to sixteen rounds before each, as (n, T); 1 before the first."""
    n, rounds = trained.shape
    sums = np.cumsum(np.concatenate([np.zeros((n, 1)), trained], axis=1), axis=1)
    end = np.arange(rounds)
    start = np.maximum(end - _MEMORY, 0)
    share: Floats = (sums[:, end] - sums[:, start]) / np.maximum(end - start, 1)
    share[:, 0] = 1.0
    return share
