"""What training in a round is worth, from learners that pause and others that train only then."""

import numpy as np
from numpy.typing import NDArray

from .runs import N_CONSTANT, N_PAUSED, PAUSES, StreamRuns

Floats = NDArray[np.float64]
_MEMORY = 16  # rounds over which it counts how much of them a learner has trained in


def worth_of_training(
    runs: StreamRuns, running: Floats, *, tuned: int, never: int, horizon: int
) -> Floats:
    """Loss that training in a round saves over that round and `horizon` rounds after it, summed: shape (n, T).

    In per cent of the running loss `running` (T + 1,), a round of training; NaN where no learner paused. What it is
    worth depends on what a learner has trained on before: to one that always trains a pause costs what it loses
    against the `tuned` run, to one that never does a stretch of training saves what it gains on the `never` run.
    Others lie between, by the share of the last sixteen rounds that they trained in. Runs are of the same text and
    draws, so that differences are of training alone.
    """
    trained = runs.spent > 0
    paused, alone = np.split(np.arange(N_CONSTANT, N_CONSTANT + N_PAUSED), [PAUSES])
    always = _saved(runs.loss[paused], runs.loss[tuned], ~trained[paused], running, horizon)
    fresh = _saved(runs.loss[never], runs.loss[alone], trained[alone], running, horizon)
    share = _share_trained(trained)
    worth: Floats = share * always + (1.0 - share) * fresh
    return worth


def _saved(without: Floats, having: Floats, stretch: NDArray[np.bool_], running: Floats, horizon: int) -> Floats:
    """Loss saved per round of each stretch (k, T), told at its rounds: shape (T,), NaN elsewhere."""
    saved = 100.0 * np.atleast_2d(without - having) / running
    told = np.full(stretch.shape[1], np.nan)
    for row, rounds in zip(saved, stretch, strict=True):
        (at,) = np.nonzero(rounds)
        if len(at):
            told[at] = row[at[0] + 1 : at[-1] + 1 + horizon + 1].sum() / len(at)
    return told


def _share_trained(trained: NDArray[np.bool_]) -> Floats:
    """Of up to sixteen rounds before each, as (n, T); 1 before the first."""
    n, rounds = trained.shape
    sums = np.cumsum(np.concatenate([np.zeros((n, 1)), trained], axis=1), axis=1)
    end = np.arange(rounds)
    start = np.maximum(end - _MEMORY, 0)
    share: Floats = (sums[:, end] - sums[:, start]) / np.maximum(end - start, 1)
    share[:, 0] = 1.0
    return share
