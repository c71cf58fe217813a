"""Runs made by hand: what a test does not give is nothing."""

import numpy as np
from numpy.typing import NDArray

from olrl.agents.hindsight.runs import StreamRuns

Floats = NDArray[np.float64]


def made_runs(
    loss: Floats,
    *,
    observations: NDArray[np.float32] | None = None,
    octaves: float = 0.0,
    log_batch: float = 0.0,
    spent: Floats | float = 0.5,
    price: float = 0.0,
) -> StreamRuns:
    """Of learners with losses (n, T + 1), on text that is new; a round of training spends half of the budget."""
    n, rounds = loss.shape[0], loss.shape[1] - 1
    if observations is None:
        observations = np.zeros((n, rounds, 1), dtype=np.float32)
    return StreamRuns(
        observations=observations,
        signals=np.zeros((n, rounds, 1)),
        bases=np.ones((n, 3)),
        loss=loss,
        octaves=np.full((n, rounds), octaves),
        log_batch=np.full((n, rounds), log_batch),
        window=np.zeros((n, rounds)),
        spent=np.broadcast_to(spent, (n, rounds)),
        familiar=np.zeros((n, rounds), dtype=bool),
        price=np.full(n, price),
        share=np.full(n, 0.5),
    )
