"""The memories of n surrogate learners as one array: `olrl.memory.Memory`, vectorised."""

import numpy as np
from numpy.typing import NDArray

from olrl.draws import uniforms
from olrl.memory import MAX_WINDOW, admission_slots

from .quadratic_problem import CHUNK, RESERVOIR

_RING = MAX_WINDOW * CHUNK
_SLOTS = _RING + RESERVOIR
Ints = NDArray[np.int64]


class BatchedMemory:
    """Sliding windows and reservoirs of n memories of rows of `columns` numbers, as n `Memory` draw.

    `targets` holds them all, shape (n · slots, columns): of each memory first the ring of its newest 64
    chunks, then its reservoir. `weights`, shape (n · slots,), holds one number beside each: what it adds to
    twice a loss.
    """

    def __init__(self, n: int, columns: int) -> None:
        self.targets = np.zeros((n * _SLOTS, columns), dtype=np.float32)
        self.weights = np.zeros(n * _SLOTS)
        self.chunks_seen = np.zeros(n, dtype=np.int64)
        self.seeds = np.zeros(n, dtype=np.uint64)
        self.chunk_shape = (CHUNK, columns)
        self._first = np.arange(n, dtype=np.int64) * _SLOTS

    def reset(self, which: Ints, seeds: list[int]) -> None:
        """Empty some memories and give them new seeds."""
        self.chunks_seen[which] = 0
        self.seeds[which] = seeds

    def add(self, chunks: NDArray[np.float32], weights: NDArray[np.float64]) -> None:
        """Remember a chunk each, shapes (n, CHUNK, columns) and (n, CHUNK)."""
        within = np.arange(CHUNK)
        ring = (self._first + self.chunks_seen % MAX_WINDOW * CHUNK)[:, None] + within
        self.targets[ring] = chunks
        self.weights[ring] = weights
        numbers = self.chunks_seen[:, None] * CHUNK + within
        slots = admission_slots(self.seeds[:, None], numbers, size=RESERVOIR)
        memory, example = np.nonzero(slots < RESERVOIR)  # in order: of equal slots the last one stays
        kept = self._first[memory] + _RING + slots[memory, example]
        self.targets[kept] = chunks[memory, example]
        self.weights[kept] = weights[memory, example]
        self.chunks_seen += 1

    def luck(self, rounds: Ints, count: int) -> NDArray[np.float64]:
        """The first `count` keyed draws of each memory's round, shape (n, count), in [0, 1)."""
        return uniforms(self.seeds[:, None], rounds[:, None], np.arange(count))

    def rows(self, luck: NDArray[np.float64], windows: Ints) -> Ints:
        """Rows of `targets` that the draws mean under each memory's window, shape (n, count)."""
        held = np.minimum(self.chunks_seen, MAX_WINDOW)
        chunks = np.where(windows == 0, held, np.minimum(windows, held))
        back = np.floor(luck * (chunks * CHUNK)[:, None]).astype(np.int64)
        slot = (self.chunks_seen[:, None] - 1 - back // CHUNK) % MAX_WINDOW
        rows: Ints = slot * CHUNK + back % CHUNK
        (whole,) = np.nonzero(windows == 0)
        if len(whole):
            size = np.minimum(self.chunks_seen[whole] * CHUNK, RESERVOIR)
            rows[whole] = _RING + np.floor(luck[whole] * size[:, None]).astype(np.int64)
        rows += self._first[:, None]
        return rows

    def oldest(self, windows: Ints, count: int, which: Ints) -> Ints:
        """Rows of the first `count` examples of the oldest chunk of some memories' windows, (k, count)."""
        seen = self.chunks_seen[which]
        slot = (seen - np.minimum(windows, np.minimum(seen, MAX_WINDOW))) % MAX_WINDOW
        first = np.where(windows == 0, _RING, slot * CHUNK)
        rows: Ints = (self._first[which] + first)[:, None] + np.arange(count)
        return rows
