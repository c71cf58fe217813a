"""Online loops side by side whose learners are not stacked: those of classifiers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.loop import OnlineLoop, RoundRecord
from olrl.monitor.signals import Signals


class SeparateLoops:
    """n loops, each with a learner of its own; what `StackedLoops` is to language models."""

    def __init__(self, loops: Sequence[OnlineLoop], bases: Sequence[Base]) -> None:
        self._loops, self._bases = loops, bases

    def observe(self, which: NDArray[np.int64]) -> list[Signals]:
        """Score the next chunk of each of these and measure; all streams must have one left."""
        return [_measured(self._loops[i]) for i in which]

    def train(self, decisions: Decisions) -> list[RoundRecord]:
        """Train every loop under its decision, and tell what happened."""
        return [
            loop.apply(decisions.single(i, base=base))
            for i, (loop, base) in enumerate(zip(self._loops, self._bases, strict=True))
        ]


def _measured(loop: OnlineLoop) -> Signals:
    signals = loop.observe()
    if signals is None:
        raise RuntimeError("a stream has ended before its loops: it has too few chunks")
    return signals
