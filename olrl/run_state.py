"""A run as one state: gathered between two rounds, written as a checkpoint, and gone on from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrl.checkpoint import Checkpoint, Checkpoints, cut_back
from olrl.deployment import Deployment
from olrl.explanations import ExplanationLog
from olrl.run_folder import JsonLines, RunFolder
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.source import Source
from olrl.tasks import AnyChunker
from olrl.tracking import TensorBoardTracker, event_sizes

KIND = "olrl run"
SECONDS = 30.0
SHARE = 0.05  # of the time, that checkpoints may take


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """All of a run that changes from round to round, and where its lines go."""

    deployment: Deployment
    source: Source
    chunker: AnyChunker
    dead_letter: DeadLetter
    tracker: TensorBoardTracker
    decisions: JsonLines
    stream: JsonLines
    explanations: ExplanationLog

    @property
    def rounds(self) -> int:
        """Rounds done."""
        return self.deployment.loop.rounds.round

    def state_dict(self, *, seconds: float) -> dict[str, Any]:
        """Everything, after `seconds` of running; all lines are on the disk when this returns."""
        return {
            "rounds": self.rounds,
            "seconds": seconds,
            "deployment": self.deployment.state_dict(),
            "source": self.source.state_dict(),
            "chunker": self.chunker.state_dict(),
            "dead_letter": self.dead_letter.state_dict(),
            "tracker": self.tracker.state_dict(),
            "decisions_size": self.decisions.sync(),
            "stream_size": self.stream.sync(),
            "explanations_size": self.explanations.sync(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue; source and dead letter were opened with their parts of the state, and the lines cut back."""
        self.deployment.load_state_dict(state["deployment"])
        self.chunker.load_state_dict(state["chunker"])
        self.tracker.load_state_dict(state["tracker"], step=state["rounds"])


def run_checkpoints(folder: RunFolder) -> Checkpoints:
    """The checkpoints of a run."""
    return Checkpoints(folder.checkpoints, kind=KIND)


def go_back(folder: RunFolder, checkpoint: Checkpoint) -> None:
    """Take from a run's folder all that it wrote after a checkpoint; ValueError if something is missing.

    What it wrote at its end is left until the next end replaces it, but for `ending.json` and a person's `STOP`.
    """
    state = checkpoint.state
    events = state["tracker"]["files"]
    if any(Path(name).name != name for name in events):  # else it could cut files anywhere
        raise ValueError(f"checkpoint {checkpoint.folder} names files outside of its run: it is damaged")
    cut_back(folder.decisions, state["decisions_size"])
    cut_back(folder.stream, state["stream_size"])
    cut_back(folder.explanations, state["explanations_size"])
    cut_back(folder.dead_letter, state["dead_letter"]["size"])
    for name in event_sizes(folder.path):
        if name not in events:
            (folder.path / name).unlink()
    for name, size in events.items():
        cut_back(folder.path / name, size)
    folder.ending.unlink(missing_ok=True)
    folder.stop.unlink(missing_ok=True)
    run_checkpoints(folder).drop_after(checkpoint.number)


def begin_anew(folder: RunFolder) -> None:
    """Take from the folder of a run that was ended before its first checkpoint all but what it was asked to do.

    What it kept of standard input stays too.
    """
    for path in (folder.decisions, folder.stream, folder.explanations, folder.dead_letter, folder.ending):
        path.unlink(missing_ok=True)
    for name in event_sizes(folder.path):
        (folder.path / name).unlink()


class CheckpointSchedule:
    """When a checkpoint is due: every `every` rounds; never, with 0; by the time they take, with None.

    By time: after the first round, and then 30 seconds after the one before, or later where it took long, so that
    checkpoints take no more than a twentieth of the time.

    >>> schedule = CheckpointSchedule(None, clock=iter([0.0, 10.0, 15.0, 315.0]).__next__)
    >>> schedule.due(1)
    True
    >>> schedule.saved(lambda: None)  # takes 10 seconds
    >>> schedule.due(2), schedule.due(3)  # 5 and 305 seconds later
    (False, True)
    """

    def __init__(self, every: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._next: float | None = None

    def due(self, rounds: int) -> bool:
        """Whether one is to be made after so many rounds."""
        if self._every is not None:
            return self._every > 0 and rounds % self._every == 0
        return self._next is None or self._clock() >= self._next

    def saved(self, save: Callable[[], object]) -> None:
        """Make one by calling `save`, and note how long it takes."""
        started = self._clock()
        save()
        ended = self._clock()
        self._next = ended + max(SECONDS, (ended - started) / SHARE)


class RunCheckpoints:
    """Makes the checkpoints of a run while it goes on, and one at its end.

    `before` are the seconds that it ran before it was gone on with.
    """

    def __init__(self, folder: RunFolder, parts: RunParts, *, every: int | None, before: float = 0.0) -> None:
        self.last: int | None = None  # rounds done at the newest one
        self._parts = parts
        self._checkpoints = run_checkpoints(folder)
        self._schedule = CheckpointSchedule(every)
        self._never = every == 0
        self._before, self._started = before, time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the run has been running, in all."""
        return self._before + time.monotonic() - self._started

    def round_done(self) -> None:
        """A round has ended, and its lines are written."""
        if self._schedule.due(self._parts.rounds):
            self._schedule.saved(self._save)

    def ended(self) -> None:
        """The last round has ended.

        No checkpoint is made of a run that was interrupted while it took in text, or whose weights were put back
        for its end: it goes on from the one before, and makes the rounds since again.
        """
        if not (self._never or self._parts.deployment.torn or self.last == self._parts.rounds):
            self._save()

    def _save(self) -> None:
        rounds = self._parts.rounds
        self._checkpoints.save(self._parts.state_dict(seconds=self.seconds), about={"rounds": rounds})
        self.last = rounds
