"""Columns of a run that depend on all rounds so far, and on those of a second run of the same chunks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from olrl.analysis.records import Floats, RunRecords, Smoother, count_rounds, smoothing
from olrl.run_folder import RunFolder


def running(
    blocks: Iterable[RunRecords],
    reference: Iterable[RunRecords] | None = None,
    *,
    rounds: int,
    also: Callable[[RunRecords], None] = lambda block: None,
) -> Iterator[RunRecords]:
    """The blocks of a run of so many rounds, as `Running` completes them.

    `reference` are blocks of another run that are cut alike; `also` is given its rounds that were compared.
    """
    so_far = Running(over=smoothing(rounds))
    theirs = None if reference is None else iter(reference)
    for block in blocks:
        if theirs is None:
            yield so_far.add(block)
            continue
        other = next(theirs).take(np.arange(len(block)))
        yield so_far.add(block, other)
        also(other)


class Running:
    """Adds to the blocks of a run, one after another, what it has come to after each round.

    `saved_share` is the share of all budgets so far that was not spent. With the same rounds of another run,
    `reference_bpb` is its loss, averaged over `over` rounds, and `regret_bpb` the difference of both prequential
    losses so far, bits per byte: above 0 where the run does worse. ValueError where the two are not of the same
    chunks.
    """

    def __init__(self, *, over: int) -> None:
        self._spent, self._costs = _Total(), _Total()
        self._lost, self._bytes = _Total(), _Total()
        self._smoother = Smoother(rounds=over)

    def add(self, block: RunRecords, other: RunRecords | None = None) -> RunRecords:
        """The next rounds, completed."""
        budget = np.full(len(block), float(block.config["run"]["budget"]))
        added = replace(block, saved_share=1.0 - self._spent.add(block.spent) / self._costs.add(budget))
        if other is None:
            return added
        check_same_chunks(block, other)
        weights = np.where(block.round >= 1, block.n_bytes, 0.0)  # round 0 comes before the first decision
        difference = self._lost.add((block.charged_bpb - other.charged_bpb) * weights)
        return replace(
            added,
            reference_bpb=self._smoother.add(other.loss_bpb),
            regret_bpb=difference / np.maximum(self._bytes.add(weights), 1.0),
        )


def check_reference(reference: RunFolder, *, rounds: int) -> None:
    """ValueError unless there are at least so many rounds to compare with."""
    theirs = count_rounds(reference)
    if theirs < rounds:
        raise ValueError(
            f"{reference.path} has {theirs} rounds and the run {rounds}: give a run to compare with that is at "
            f"least as long"
        )


def check_same_chunks(block: RunRecords, other: RunRecords) -> None:
    """ValueError, naming the first round, where two runs did not score the same text; or told no loss of it."""
    if block.private or other.private:
        raise ValueError(
            "the losses of a run with differential privacy are withheld: there is nothing to compare it by"
        )
    same = np.array([a == b for a, b in zip(block.source, other.source, strict=True)])
    different = np.flatnonzero((block.n_bytes != other.n_bytes) | ~same)
    if len(different):
        k = int(different[0])
        raise ValueError(
            f"the two runs did not read the same chunks: round {block.round[k]} holds {block.n_bytes[k]:.0f} bytes "
            f"of {block.source[k]!r} in one and {other.n_bytes[k]:.0f} of {other.source[k]!r} in the other; give "
            f"runs of the same --stream, --chunk, --seq-len and --seed"
        )


class _Total:
    """A running sum over blocks."""

    def __init__(self) -> None:
        self._sum = 0.0

    def add(self, values: Floats) -> Floats:
        """The sum after each of the next values."""
        sums = self._sum + np.cumsum(values)
        self._sum = float(sums[-1])
        return sums
