"""The best configuration of each segment, found with snapshots at the true change points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import WINDOWS, Base, Decision
from olrl.streams.chunk import Chunk

from ..evaluation.play import Rollout, Trace
from .entrant import Conditions, Entrant, Task
from .groups import mean_loss, play_rounds
from .held import Held
from .search import LadderSearch

Point = Mapping[str, Any]  # a factor on the rate, a batch size, a window

LR_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
BATCHES = (1, 2, 4, 8)
WINDOWS_TRIED = (1, 4, 16, 0)


@dataclass(frozen=True, kw_only=True)
class SegmentBestSettings:
    """`most`: plays of a segment, at least 1."""

    most: int = 16

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1 play of a segment, not {self.most!r}")


class SegmentBest(Entrant):
    """What control by segment can reach: the upper mark of the normalised score.

    At each true change point, from a snapshot of the run, constant configurations of a grid (rate times ¼ … 8 of
    the tuned constant's, batch size 1 … 8, window 1, 4, 16 or the reservoir) play the whole segment, along one
    axis after the other from the best of the segment before; the one of least mean loss is kept. That loss counts
    from the chunk after its first decision on, since nothing could change an earlier one. All plays are charged
    as trials, and then the best is played once more. No bound in the strict sense: what is best in a segment need
    not be best for the next.
    """

    def controller(self, given: Conditions) -> Controller:
        """Where the first segment's search starts."""
        SegmentBestSettings(**given.settings)
        return Held(base=given.origin)

    def play(self, task: Task) -> Trace:
        """All segments in order."""
        settings = SegmentBestSettings(**task.given.settings)
        origin = task.given.origin
        held = Held(base=origin)
        rollout = task.rollout(base=origin)
        point: Point = start_of(origin)
        for rounds in segment_lengths(task.chunks):
            if rounds > 1:  # nothing that is decided in a segment of one round changes its loss
                point = self._search(rollout, held, point, rounds=rounds, most=settings.most)
            held.decision = decision_at(point, origin)
            _play(rollout, held, rounds)
        return rollout.trace()

    def _search(self, rollout: Rollout, held: Held, start: Point, *, rounds: int, most: int) -> Point:
        """The best point of the segment that comes next; the run is where it was."""
        before, first = rollout.snapshot(), rollout.rounds

        def loss_of(point: Point) -> float:
            held.decision = decision_at(point, held.base)
            _play(rollout, held, rounds)
            loss = mean_loss(rollout, first)
            rollout.charge(first, trial=True)
            rollout.restore(before)
            return loss

        axes = {"lr": LR_FACTORS, "window": WINDOWS_TRIED, "batch_size": BATCHES}
        search = LadderSearch(axes, start=start)
        while search.tried < most and (point := search.ask()) is not None:
            search.tell(loss_of(point))
        return search.best


def _play(rollout: Rollout, controller: Controller, rounds: int) -> None:
    assert play_rounds(rollout, controller, rounds), "segments are as long as the chunks say"


def segment_lengths(chunks: Sequence[Chunk]) -> list[int]:
    """Rounds of each true segment, in order."""
    lengths: list[int] = []
    last: int | None = None
    for chunk in chunks:
        if chunk.segment != last:
            lengths.append(0)
        lengths[-1] += 1
        last = chunk.segment
    return lengths


def start_of(origin: Base) -> dict[str, Any]:
    """The point of the grid that lies nearest to a configuration.

    >>> start_of(Base(lr=1e-3, batch_size=16, window=2))
    {'lr': 1.0, 'batch_size': 8, 'window': 1}
    """
    place = WINDOWS.index(origin.window)
    return {
        "lr": 1.0,
        "batch_size": min(BATCHES, key=lambda size: abs(math.log2(size / origin.batch_size))),
        "window": min(WINDOWS_TRIED, key=lambda window: abs(WINDOWS.index(window) - place)),
    }


def decision_at(point: Point, origin: Base) -> Decision:
    """A point of the grid as a decision, its rate counted from that of `origin`."""
    return replace(
        origin.decision(),
        lr=origin.lr * point["lr"],
        batch_size=point["batch_size"],
        window=point["window"],
    )


SEGMENT_BEST = SegmentBest(
    name="segment-best",
    description="the best configuration of each segment, with snapshots at the true change points",
    uses_base=False,
    privileges=("future", "snapshots", "change points"),
)
