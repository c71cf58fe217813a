"""Many online loops of one language model, trained side by side."""

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.learners.learner import UpdateReport
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.stack import LearnerStack, StackReports
from olrl.loop import RoundRecord, Rounds
from olrl.monitor.signals import Signals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FIGURES = tuple(field.name for field in fields(StackReports) if field.name not in ("updates", "nonfinite"))


class StackedLoops:
    """n loops whose learners are one `LearnerStack`; everything else is each loop's own.

    A round is `observe`, then `train`, as in `OnlineLoop`; each loop begins anew with `begin`. All loops cut chunks
    of the same shape.
    """

    def __init__(self, model: torch.nn.Module, n: int, *, optimizer: OptimizerConfig, seq_len: int) -> None:
        self._stack = LearnerStack(model, n, optimizer=optimizer)
        self._loops: list[Rounds | None] = [None] * n
        self._bases: list[Base] = [Base(lr=1.0)] * n
        self._length = seq_len + 1

    def __len__(self) -> int:
        return len(self._loops)

    def begin(self, which: Ints, loops: Sequence[Rounds], bases: Sequence[Base]) -> None:
        """Start these loops with the model's own weights; of the bases counts what a coding does not control."""
        self._stack.reset(which)
        for i, loop, base in zip(which, loops, bases, strict=True):
            self._loops[i], self._bases[i] = loop, base

    def __getitem__(self, index: int) -> Rounds:
        loop = self._loops[index]
        if loop is None:
            raise RuntimeError(f"loop {index} was never begun")
        return loop

    def observe(self, which: Ints) -> list[Signals]:
        """Score the next chunk of each of these and measure; all streams must have one left."""
        loops = [self[i] for i in which]
        examples = [loop.next_examples() for loop in loops]
        losses = self._score(which, [rows for rows in examples if rows is not None])
        return [loop.observed(row) for loop, row in zip(loops, losses, strict=True)]

    def _score(self, which: Ints, examples: list[NDArray[np.int32]]) -> list[Floats]:
        """Losses of each learner's examples; all have as many but where an episode has just begun."""
        counts = [len(rows) for rows in examples]
        losses: list[Floats] = [np.empty(0)] * len(examples)
        for count in set(counts):
            places = [k for k, other in enumerate(counts) if other == count]
            found = self._stack.score(np.stack([examples[k] for k in places]), which[places])
            for k, row in zip(places, found, strict=True):
                losses[k] = row
        return losses

    def train(self, decisions: Decisions) -> list[RoundRecord]:
        """Train every loop under its decision, and tell what happened."""
        loops = [self[i] for i in range(len(self))]
        singles = [decisions.single(i, base=base) for i, base in enumerate(self._bases)]
        drawn = [loop.training(decision) for loop, decision in zip(loops, singles, strict=True)]
        training = np.array([i for i, rows in enumerate(drawn) if rows is not None], dtype=np.int64)
        rows = [some for some in drawn if some is not None]
        examples = np.zeros((len(rows), max(map(len, rows), default=0), self._length), dtype=np.int32)
        for place, some in zip(examples, rows, strict=True):
            place[: len(some)] = some
        sizes = decisions.batch_size[training]
        reports = self._stack.update(
            examples,
            training,
            batch_size=sizes,
            updates=np.array([len(some) for some in rows], dtype=np.int64) // sizes,
            lr=decisions.lr[training],
            weight_decay=np.array([singles[i].weight_decay for i in training]),
            pull=np.array([singles[i].pull for i in training]),
        )
        done = {int(i): _report(reports, k, sizes) for k, i in enumerate(training)}
        return [
            loop.trained(decision, done.get(i, UpdateReport()))
            for i, (loop, decision) in enumerate(zip(loops, singles, strict=True))
        ]


def _report(reports: StackReports, k: int, sizes: Ints) -> UpdateReport:
    """One learner's report."""
    figures = {name: float(getattr(reports, name)[k]) for name in _FIGURES}
    updates, nonfinite = int(reports.updates[k]), int(reports.nonfinite[k])
    return UpdateReport(
        updates=updates,
        nonfinite=nonfinite,
        examples=(updates + nonfinite) * int(sizes[k]),
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
    )
