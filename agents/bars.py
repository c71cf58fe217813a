"""How far long work is: bars on a terminal, plain lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0


class Bars:
    """A bar for the part of the work that runs now, with the time it has left; use it as a context.

    Where no terminal is attached, a line at each part's beginning and one every 15 seconds.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=None, note="", visible=False)
        self._name, self._total, self._done = "", 0, 0
        self._started = self._told = time.monotonic()

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def part(self, name: str, total: int) -> None:
        """A part of the work with so many steps begins."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total, note="")
        self._name, self._total, self._done = name, total, 0
        self._started = self._told = time.monotonic()

    def step(self, done: int, note: str = "") -> None:
        """So many steps of the part are done."""
        self._done = done
        self._bars.update(self._task, completed=done, note=note)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._told >= SECONDS_BETWEEN_LINES and done:
            self._told = now
            left = (now - self._started) * (self._total - done) / done
            self.say(f"  {self._name}: {done:,} of {self._total:,}, about {left:.0f} s left  {note}".rstrip())

    def say(self, text: str) -> None:
        """A line to keep."""
        self.console.print(text, highlight=False, soft_wrap=True)
