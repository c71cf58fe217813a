"""The documents of a surrogate task: what distinguishes one text from the next within a domain."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .drift_path import Range, check_ranges, log_uniform
from .normal_rows import PLACES, rows_at

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DocumentRandomisation:
    """What documents may be like; pairs are ranges, drawn from log-uniformly once an episode.

    Attributes:
        rounds: mean length of a document in rounds; lengths are geometric, in examples.
        offset: root mean square distance of a document's optimum from its domain's, in units of a jump
            between two domains.
        level: standard deviation of a document's log floor.
        examples: standard deviation of an example's log floor within its document, a typical one.
        unevenness: standard deviation of that figure's logarithm from document to document.
    """

    rounds: Range = (0.3, 1.6)
    offset: Range = (0.4, 2.5)
    level: Range = (0.04, 0.25)
    examples: Range = (0.06, 0.3)
    unevenness: Range = (0.3, 1.0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The documents of T rounds of C examples in d dimensions.

    `number`, shape (T, C), is the document that an example belongs to. Of each of the n documents, `offset`
    (n, d) is where its optimum lies beside the domain's: `size` (d,) times the normal row at its `places` (n, 2).
    `log_floor` (n,) is the mean of its examples' log floor and `spread` (n,) their standard deviation. `variance`
    (d,) is that of the offsets in whitened coordinates, and `ends` the probability that a document ends after an
    example.
    """

    number: NDArray[np.int64]
    places: NDArray[np.int64]
    size: Array
    log_floor: Array
    spread: Array
    variance: Array
    ends: float

    @cached_property
    def offset(self) -> Array:
        """Offsets of the documents' optima, in the coordinates of `size`, shape (n, d)."""
        return self.size * rows_at(self.places, len(self.size))

    def shares(self, round_: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents of a round in order, and how many examples each has in it."""
        return np.unique(self.number[round_], return_counts=True)


def draw_documents(
    rng: np.random.Generator,
    ranges: DocumentRandomisation,
    *,
    rounds: int,
    chunk: int,
    jump: float,
    direction: Array,
) -> Documents:
    """Documents drawn from `ranges`; offsets are in the coordinates of `direction`, shape (d,) and norm 1."""
    ends = 1.0 / max(1.0, chunk * log_uniform(rng, ranges.rounds))
    ended = rng.random(rounds * chunk) < ends
    number = np.cumsum(ended, dtype=np.int64).reshape(rounds, chunk)
    n = int(number[-1, -1]) + 1
    size = log_uniform(rng, ranges.offset) * jump * direction
    level = log_uniform(rng, ranges.level)
    examples, unevenness = log_uniform(rng, ranges.examples), log_uniform(rng, ranges.unevenness)
    spread = examples * np.exp(unevenness * rng.standard_normal(n))
    return Documents(
        number=number,
        places=rng.integers(PLACES, size=(n, 2)),
        size=size,
        log_floor=level * rng.standard_normal(n) - 0.5 * (level**2 + spread**2),  # a mean floor of 1
        spread=spread,
        variance=size**2,
        ends=ends,
    )
