"""All that `olrl run` writes for a round, behind one call."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from olrl.deployment import Outcome
from olrl.loop import RoundRecord
from olrl.run_folder import RunFolder

from .figures import need

Write = Callable[[RoundRecord, str | None], None]


def writer(path: Path, *, tensorboard: bool = True, lines: bool = True) -> tuple[Write, Callable[[], None]]:
    """A call that writes a round into a new folder (its lines, its events), and one that closes the files."""
    folder = RunFolder.create(path)
    stack = ExitStack()
    json_lines = need("olrl.run_folder", "JsonLines")
    decision_row, stream_row = need("olrl.run", "decision_row"), need("olrl.run", "_stream_row")
    decisions = stack.enter_context(closing(json_lines(folder.decisions))) if lines else None
    stream = stack.enter_context(closing(json_lines(folder.stream))) if lines else None
    tracker = (
        stack.enter_context(need("olrl.tracking", "TensorBoardTracker")(folder.path)) if tensorboard else None
    )

    def write(record: RoundRecord, guard: str | None) -> None:
        if decisions is not None and stream is not None:
            decisions.write(decision_row(Outcome(record=record, guard=guard)))
            stream.write(stream_row(record))
        if tracker is not None:
            tracker.round(record, guard=guard)

    return write, stack.close
