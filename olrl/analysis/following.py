"""A run that goes on, followed from its folder: only what is new is read, and only what a figure needs is kept."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from olrl.analysis.check_rows import check_config
from olrl.analysis.overview import GrowingOverview, Overview, name_of
from olrl.analysis.records import BLOCK_ROUNDS, RunRecords, columns, unit_of
from olrl.analysis.tail import CutBack, Tail
from olrl.run_folder import RunFolder, read_json_lines

PATIENCE_S = 1.0


class RunFollower:
    """The overview of a run while it goes on, and after it has ended.

    `read()` takes in what was written since, for about a second at most, so that a page is shown while the first
    million rounds are read: until it has `caught_up`, `progress` is the share that has been. Memory does not grow
    with the run. `against` is the folder of another run of the same chunks: both are then known as far as both are.
    Where a run was gone on with from an earlier place, it is read anew. ValueError, in one sentence, for files that
    are damaged, and for a run to compare with that did not read the same chunks.
    """

    def __init__(self, folder: RunFolder, *, against: RunFolder | None = None) -> None:
        self.folder, self.against = folder, against
        self._begin()

    def _begin(self) -> None:
        self._rounds = _Rounds(self.folder)
        self._theirs = None if self.against is None else _Rounds(self.against)
        self._seen = GrowingOverview()
        self._dead = Tail(self.folder.dead_letter)
        self._dead_letters: Counter[str] = Counter()
        self.rounds = 0
        self.caught_up = False

    def read(self, seconds: float = PATIENCE_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take in what is new, for so long at most, and at least a block."""
        end = clock() + seconds
        try:
            self.caught_up = not self._read_block()
            while not self.caught_up and clock() < end:
                self.caught_up = not self._read_block()
            while rows := self._dead.rows(BLOCK_ROUNDS):
                self._dead_letters.update(str(row.get("reason")) for row in rows)
                if clock() >= end:
                    break
        except CutBack:
            self._begin()

    def _read_block(self) -> bool:
        count = self._rounds.ready(BLOCK_ROUNDS)
        if self._theirs is not None:
            count = min(count, self._theirs.ready(count))
        if not count:
            return False
        self._seen.add(self._rounds.take(count), None if self._theirs is None else self._theirs.take(count))
        self.rounds += count
        return True

    @property
    def progress(self) -> float:
        """The share of what the run has written that was read, from 0 to 1."""
        return self._rounds.progress if self._theirs is None else self._theirs.progress

    def overview(self) -> Overview | None:
        """What is known so far; None before the first round."""
        if not self.rounds:
            return None
        name = "" if self.against is None else name_of(self.against)
        seen = self._seen.overview(reference_name=name)
        ended, dead_letters = self._ending()
        return replace(
            seen,
            kept=replace(seen.kept, ended=ended, dead_letters=dead_letters),
            summary=replace(seen.summary, dead_letters=dead_letters),
        )

    def _ending(self) -> tuple[str | None, dict[str, int]]:
        counted = dict(sorted(self._dead_letters.items()))
        if not self.folder.ending.is_file():
            return None, counted
        rows = read_json_lines(self.folder.ending)
        return (str(rows[0].get("ended")) if rows else None), counted


class _Rounds:
    """Rounds of a run of which both lines are there: what was decided, and what had arrived."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._config = folder.read_config()
        self._decisions, self._arrived = Tail(folder.decisions), Tail(folder.stream)
        self._waiting: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])

    def ready(self, most: int) -> int:
        """How many rounds can be taken now, at most so many."""
        for rows, tail in zip(self._waiting, (self._decisions, self._arrived), strict=True):
            rows += tail.rows(max(most - len(rows), 0))
        return min(most, *map(len, self._waiting))

    def take(self, count: int) -> RunRecords:
        """The next rounds; so many are ready."""
        rows, arrived = self._waiting
        check_config(self._config)
        try:
            taken = RunRecords(
                config=self._config, **columns(rows[:count], arrived[:count], unit=unit_of(self._config))
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self._folder.path}: a row of decisions.jsonl or stream.jsonl lacks {error}"
            ) from error
        self._waiting = rows[count:], arrived[count:]
        return taken

    @property
    def progress(self) -> float:
        size = self._decisions.size
        return min(self._decisions.place / size, 1.0) if size else 1.0
