"""How far a run is, on a terminal or in a log."""

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from olrl.loop import RoundRecord, loss_of

SECONDS_BETWEEN_LINES = 10.0


class RunProgress:
    """One line that follows a run; where no terminal is attached, a plain line every ten seconds.

    `rounds=None` where the length of the run is not known.
    """

    def __init__(self, console: Console, *, rounds: int | None) -> None:
        self._console = console
        self._rounds = rounds
        self._smoothed = math.nan
        self._start = self._last_line = time.monotonic()
        self._done = 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *((BarColumn(bar_width=20), TimeRemainingColumn(compact=True)) if rounds is not None else ()),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("waiting for the stream", total=rounds)

    def __enter__(self) -> "RunProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def round(self, record: RoundRecord) -> None:
        """Show a round that has ended."""
        self._done += 1
        loss = loss_of(record)
        if loss is not None:
            first = math.isnan(self._smoothed)
            self._smoothed = loss if first else 0.9 * self._smoothed + 0.1 * loss
        if self._console.is_terminal:
            self._bar.update(self._task, completed=record.round + 1, description=self._line(record))
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(self._line(record), highlight=False, soft_wrap=True)

    def _line(self, record: RoundRecord) -> str:
        speed = self._done / max(time.monotonic() - self._start, 1e-9)
        decision = record.decision
        doing = f"lr {decision.lr:.2e}, batch {decision.batch_size}, window {decision.window or 'reservoir'}"
        loss = (
            "no loss"
            if math.isnan(self._smoothed)
            else f"{self._smoothed:.3f} bits per {'label' if record.judged else 'byte'}"
        )
        return (
            f"round {record.round + 1}{f' of {self._rounds}' if self._rounds else ''}: "
            f"{loss}, {doing if decision.update else 'no training'}, "
            f"{speed:.1f} rounds/s"
        )
