"""Batches for differential privacy: each example takes part on its own, with the same probability."""

import secrets
from collections.abc import Iterator

import numpy as np

from olrl.learners.learner import Examples


class PoissonSampling:
    """Batches drawn from what a window holds, every example with probability `rate`; they may be empty.

    `updates` batches a round. `rng` is for tests: by default draws come from the system's entropy, since who can
    make them again knows who took part.

    >>> import numpy as np
    >>> sampling = PoissonSampling(rate=0.5, updates=2, rng=np.random.default_rng(0))
    >>> [batch.tolist() for batch in sampling.batches(np.arange(6))]
    [[1, 2, 3], [5]]
    """

    def __init__(self, *, rate: float, updates: int, rng: np.random.Generator | None = None) -> None:
        if not 0 < rate <= 1:
            raise ValueError(f"a sampling rate is above 0 and at most 1, not {rate!r}")
        self.rate, self.updates = rate, updates
        self._rng = rng or np.random.default_rng(secrets.randbits(128))

    def batches(self, examples: Examples) -> Iterator[Examples]:
        """The batches of a round."""
        for _ in range(self.updates):
            yield examples[self._rng.random(len(examples)) < self.rate]
