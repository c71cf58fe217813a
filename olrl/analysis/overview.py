"""A run of any length at a glance: its totals, its first events, and the rounds that a figure shows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olrl.analysis.records import (
    BLOCK_ROUNDS,
    RunRecords,
    Smoother,
    count_rounds,
    join,
    read_blocks,
    smoothing,
)
from olrl.analysis.running import check_reference, running
from olrl.analysis.summary import Summariser, Summary
from olrl.run_folder import RunFolder

MAX_EVENTS = 50  # drift and guard events that a report shows; all of them are in decisions.jsonl
STRETCHES = 1000  # a figure is about 1,200 dots wide

Event = tuple[int, str, str]  # round, kind, what


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What a report says and shows of a run; takes no more room for a longer one.

    `kept` holds all rounds of a run of up to 4,096, and of a longer one those that a figure of it needs (see
    `Thinner`). `events` are the first 50 drift alarms and interventions of the guard, of `n_events`. `reference`
    and its name are of a second run of the same chunks, over as many rounds, where there is one.
    """

    kept: RunRecords
    summary: Summary
    events: tuple[Event, ...]
    n_events: int
    reference: Summary | None = None
    reference_name: str = ""

    @property
    def regret_bpb(self) -> float | None:
        """Prequential loss minus that of the reference, bits per byte; None without one."""
        return None if self.reference is None else self.summary.loss_bpb - self.reference.loss_bpb


def read_overview(folder: RunFolder, *, against: RunFolder | None = None) -> Overview:
    """A run's overview from its folder, read as a stream; raises as `read_run` does.

    `against` is the folder of another run of the same chunks, say of the base: ValueError, in one sentence, where
    it is not, or is shorter.
    """
    rounds = count_rounds(folder)
    if against is None:
        return overview(running(read_blocks(folder), rounds=rounds), rounds=rounds)
    check_reference(against, rounds=rounds)
    theirs, summariser = read_blocks(against), Summariser(rounds=rounds)
    seen = overview(running(read_blocks(folder), theirs, rounds=rounds, also=summariser.add), rounds=rounds)
    name = f"{against.read_config()['run']['controller']} ({against.path.resolve().name})"
    return replace(seen, reference=summariser.summary(), reference_name=name)


def overview(blocks: Iterable[RunRecords], *, rounds: int) -> Overview:
    """The overview of a run of so many rounds that comes in blocks."""
    thinner, events, n_events = Thinner(rounds=rounds), list[Event](), 0
    summariser: Summariser | None = None
    for block in blocks:
        summariser = summariser or Summariser(rounds=rounds)
        summariser.add(block)
        thinner.add(block)
        found = _events(block)
        n_events += len(found)
        events += found[: MAX_EVENTS - len(events)]
    assert summariser is not None, "a run without rounds was refused before"
    return Overview(
        kept=thinner.kept(), summary=summariser.summary(), events=tuple(events), n_events=n_events
    )


def _events(block: RunRecords) -> list[Event]:
    rows = [(int(block.round[k]), "drift alarm", ", ".join(names)) for k, names in block.drift.items()]
    rows += [(int(block.round[k]), "guard", reason) for k, reason in block.guard.items()]
    return sorted(rows)


class Thinner:
    """The rounds of a long run that its figure needs, taken in block by block.

    Of each thousandth of the run: the first and the last round, those with the lowest and the highest loss,
    rate, batch size and window, and the first with an alarm, with an intervention, without training, and with
    a loss that was not finite. Drawn at a dot a stretch or less, they look as all rounds would. The smoothed
    loss is that of all rounds. A run of up to 4,096 rounds is kept whole.
    """

    def __init__(self, *, rounds: int) -> None:
        self._whole = rounds <= BLOCK_ROUNDS
        self._length = -(-rounds // STRETCHES)
        self._smoother = Smoother(rounds=smoothing(rounds))
        self._done: list[RunRecords] = []
        self._open: RunRecords | None = None  # of the stretch that the next block may go on with

    def add(self, block: RunRecords) -> None:
        """Take in the next rounds."""
        if self._whole:
            self._done.append(block)
            return
        block = replace(block, smoothed_bpb=self._smoother.add(block.loss_bpb))
        waiting = block if self._open is None else join([self._open, block])
        stretch = waiting.round // self._length
        starts = np.flatnonzero(np.diff(stretch, prepend=stretch[0] - 1))
        picked = [
            start + _picks(waiting.take(np.arange(start, stop)))
            for start, stop in zip(starts, [*starts[1:], len(waiting)], strict=True)
        ]
        if picked[:-1]:
            self._done.append(waiting.take(np.concatenate(picked[:-1])))
        self._open = waiting.take(picked[-1])

    def kept(self) -> RunRecords:
        """The rounds kept so far."""
        return join([*self._done, *([] if self._open is None else [self._open])])


def _picks(rows: RunRecords) -> NDArray[np.int64]:
    """Rows that show what happened in a stretch; picking from picks of its parts gives the same."""
    picks = {0, len(rows) - 1}
    for values in (rows.charged_bpb, rows.lr, rows.batch_size, rows.window_index):
        picks |= {int(values.argmin()), int(values.argmax())}
    for flagged in (~rows.update, ~np.isfinite(rows.loss_bpb)):
        picks |= set(np.flatnonzero(flagged)[:1].tolist())
    for marked in (rows.drift, rows.guard):
        picks |= set(sorted(marked)[:1])
    return np.array(sorted(picks), dtype=np.int64)
