"""In which pieces the batches of many learners go through one network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """The pieces of a round: each learner's batches cut into runs of at most `width` sequences.

    Learners of any batch sizes so share every call: a small batch is a piece, a large one adds up over several,
    and whoever has come to the end of a batch takes a step. First batches are also cut in the middle, where
    half a gradient is to be seen. `learners` are those that train, by width and then by number of pieces,
    the most first, so that those who still have a piece come first in every block. Arrays have these
    learners as rows and pieces as columns: `start` and `count`, the sequences of a piece (0 beyond the last);
    `is_half`, whether it completes the first half of a first batch; `is_end`, whether it completes a batch.
    """

    learners: Ints
    batch_size: Ints
    width: Ints
    start: Ints
    count: Ints
    is_half: NDArray[np.bool_]
    is_end: NDArray[np.bool_]

    @classmethod
    def of(cls, batch_size: Ints, updates: Ints, *, at_once: int) -> "Schedule":
        """Of learners that take `updates` steps on `batch_size` sequences, `at_once` of them in a piece.

        >>> one = Schedule.of(np.array([5]), np.array([2]), at_once=2)
        >>> one.start.tolist(), one.count.tolist()
        ([[0, 2, 4, 5, 7, 9]], [[2, 2, 1, 2, 2, 1]])
        >>> one.is_half.astype(int).tolist(), one.is_end.astype(int).tolist()
        ([[1, 0, 0, 0, 0, 0]], [[0, 0, 1, 0, 0, 1]])
        """
        training = np.flatnonzero(updates > 0)
        pieces = [_pieces(int(batch_size[i]), int(updates[i]), at_once) for i in training]
        most = max((len(row) for row in pieces), default=0)
        table = np.zeros((len(pieces), most, 4), dtype=np.int64)
        for row, mine in zip(table, pieces, strict=True):
            row[: len(mine)] = mine
        width = np.minimum(batch_size[training], at_once)
        order = np.lexsort((batch_size[training], -np.array([len(row) for row in pieces]), width))
        start, count, is_half, is_end = np.moveaxis(table[order], 2, 0)
        learners = training[order]
        return cls(
            learners,
            batch_size[learners],
            width[order],
            start,
            count,
            is_half.astype(bool),
            is_end.astype(bool),
        )

    @property
    def pieces(self) -> int:
        """How many pieces there are of whoever has most."""
        return int((self.count > 0).sum(axis=1).max(initial=0))

    def blocks(self, pass_size: int) -> Iterator[slice]:
        """Runs of learners of one width, as many as fill a call of `pass_size` sequences."""
        for width in np.unique(self.width):
            (rows,) = np.nonzero(self.width == width)
            for first in range(int(rows[0]), int(rows[-1]) + 1, max(1, pass_size // int(width))):
                yield slice(first, min(first + max(1, pass_size // int(width)), int(rows[-1]) + 1))

    def part(self, rows: slice) -> "Schedule":
        """That of some of its learners."""
        return replace(self, **{name: array[rows] for name, array in vars(self).items()})

    def examples(self, piece: int) -> tuple[Ints, NDArray[np.float32]]:
        """Sequences of a piece, and what each counts in its batch's mean: both (active, width).

        A piece shorter than the width is filled up with sequences that count nothing.
        """
        active = int(np.count_nonzero(self.count[:, piece]))
        place = np.arange(int(self.width[0]))
        count = self.count[:active, piece, None]
        rows = self.start[:active, piece, None] + np.minimum(place, count - 1)
        return rows, np.where(place < count, 1.0 / self.batch_size[:active, None], 0.0).astype(np.float32)

    def halves(self, piece: int) -> list[int]:
        """Learners that have seen half of their first batch after this piece."""
        found: list[int] = np.flatnonzero(self.is_half[:, piece]).tolist()
        return found

    def ends(self, piece: int) -> Iterator[slice]:
        """Runs of neighbouring learners whose batch is complete after this piece."""
        edges = np.flatnonzero(np.diff(self.is_end[:, piece], prepend=False, append=False))
        for first, last in edges.reshape(-1, 2).tolist():
            yield slice(first, last)


def _pieces(size: int, updates: int, at_once: int) -> list[tuple[int, int, bool, bool]]:
    """Start, count, is_half and is_end of each piece of one learner."""
    pieces = []
    for k in range(updates):
        middle = size // 2 if k == 0 else 0
        for begin, end in ((0, middle), (middle, size)):
            for start in range(begin, end, at_once):
                count = min(at_once, end - start)
                done = start + count
                pieces.append((k * size + start, count, done == middle, done == size))
    return pieces
