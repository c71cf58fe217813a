"""A run of any length at a glance: its totals, its first events, and the rounds that a figure shows."""

from collections import deque
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
from olrl.analysis.running import Running, check_reference, running
from olrl.analysis.summary import Summariser, Summary
from olrl.run_folder import RunFolder

MAX_EVENTS = 50  # drift and guard events that a report shows; all of them are in decisions.jsonl
STRETCHES = 1000  # a figure is about 1,200 dots wide
_LONG = 10_000  # rounds, from which on losses are averaged as of any longer run

Event = tuple[int, str, str]  # round, kind, what


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What a report says and shows of a run; takes no more room for a longer one.

    `kept` holds all rounds of a run of up to 4,096, and of a longer one those that a figure of it needs (see
    `Thinner`). `events` are the first 50 drift alarms and interventions of the guard, of `n_events`; of a run that
    goes on, the `newest`. `reference` and its name are of a second run of the same chunks, over as many rounds,
    where there is one.
    """

    kept: RunRecords
    summary: Summary
    events: tuple[Event, ...]
    n_events: int
    reference: Summary | None = None
    reference_name: str = ""
    newest: bool = False

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
    return replace(seen, reference=summariser.summary(), reference_name=name_of(against))


def name_of(folder: RunFolder) -> str:
    """What a run is called beside another: its controller, and its folder where that has another name."""
    controller, place = str(folder.read_config()["run"]["controller"]), folder.path.resolve().name
    return controller if controller == place else f"{controller} ({place})"


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


class GrowingOverview:
    """The overview of a run that goes on, block by block: of any length, and never more than a figure needs.

    Until 4,096 rounds all of them are kept. From then on, losses are averaged over 200 rounds, and the first and
    last tenth are those of the run so far, to a thousandth of it.
    """

    def __init__(self) -> None:
        self._thinner = Thinner(rounds=None)
        self._running = Running(over=smoothing(_LONG))
        self._summariser = Summariser(rounds=None)
        self._reference: Summariser | None = None
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._n_events = 0

    def add(self, block: RunRecords, other: RunRecords | None = None) -> None:
        """Take in the next rounds, and the same rounds of a run to compare with; always, or never."""
        completed = self._running.add(block, other)
        self._summariser.add(block)
        self._thinner.add(completed)
        found = _events(block)
        self._events.extend(found)
        self._n_events += len(found)
        if other is not None:
            self._reference = self._reference or Summariser(rounds=None)
            self._reference.add(other)

    def overview(self, *, reference_name: str = "") -> Overview:
        """What is known so far, of at least one round."""
        return Overview(
            kept=self._thinner.kept(),
            summary=self._summariser.summary(),
            events=tuple(self._events),
            n_events=self._n_events,
            reference=None if self._reference is None else self._reference.summary(),
            reference_name=reference_name,
            newest=True,
        )


class Thinner:
    """The rounds of a long run that its figure needs, taken in block by block.

    Of each thousandth of the run: the first and the last round, those with the lowest and the highest loss,
    rate, batch size and window, and the first with an alarm, with an intervention, without training, and with
    a loss that was not finite or a proposal in shadow. Drawn at a dot a stretch or less, they look as all rounds
    would. The smoothed loss is that of all rounds. A run of up to 4,096 rounds is kept whole. Where the number of
    `rounds` is not known, stretches become twice as long whenever there are more than a thousand.
    """

    def __init__(self, *, rounds: int | None) -> None:
        self._rounds = rounds
        self._whole = (rounds or 0) <= BLOCK_ROUNDS
        self._length = 1 if rounds is None else -(-rounds // STRETCHES)
        self._over = smoothing(_LONG if rounds is None else rounds)
        self._smoother = Smoother(rounds=self._over)
        self._done: list[RunRecords] = []
        self._open: RunRecords | None = None  # of the stretch that the next block may go on with

    def add(self, block: RunRecords) -> None:
        """Take in the next rounds."""
        if self._rounds is None or not self._whole:
            block = replace(block, smoothed_bpb=self._smoother.add(block.loss_bpb), smoothed_over=self._over)
        if self._whole:
            self._done.append(block)
        else:
            self._thin(block)
        if self._rounds is None:
            self._make_room(int(block.round[-1]) + 1)

    def _make_room(self, rounds: int) -> None:
        """Begin to leave rounds out, or leave out more, when so many have been seen."""
        longer = self._length
        while rounds > longer * STRETCHES:
            longer *= 2
        if longer == self._length or rounds <= BLOCK_ROUNDS:
            return
        everything = join(self._parts())
        self._whole, self._length, self._done, self._open = False, longer, [], None
        self._thin(everything)

    def _thin(self, block: RunRecords) -> None:
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
        self._done = [join(self._done)] if len(self._done) > 1 else self._done
        kept = join(self._parts())
        return replace(kept, smoothed_bpb=None, smoothed_over=None) if self._whole else kept

    def _parts(self) -> list[RunRecords]:
        return [*self._done, *([] if self._open is None else [self._open])]


def _picks(rows: RunRecords) -> NDArray[np.int64]:
    """Rows that show what happened in a stretch; picking from picks of its parts gives the same."""
    picks = {0, len(rows) - 1}
    for values in (rows.charged_bpb, rows.lr, rows.batch_size, rows.window_index):
        picks |= {int(values.argmin()), int(values.argmax())}
    for flagged in (~rows.update, rows.loss_is_lost):
        picks |= set(np.flatnonzero(flagged)[:1].tolist())
    for marked in (rows.drift, rows.guard, rows.proposed):
        picks |= set(sorted(marked)[:1])
    return np.array(sorted(picks), dtype=np.int64)
