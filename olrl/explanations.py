"""Why a run's decisions were taken, as they are written to its folder: more rarely the longer it runs."""

import json
import os
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

from olrl.control.explain import KNOBS, Explanation

EVERY_ROUND = 2048  # rounds of which each is explained; of the next so many every second, then every fourth
STRONGEST = 6


@runtime_checkable
class Explains(Protocol):
    """A controller that can say why."""

    def explain(self) -> Explanation | None:
        """Why the last decision was taken."""


class ExplanationLog:
    """Lines of explanations.jsonl: `round`, and for each knob the six features that moved it most, either way.

    A run of a million rounds has some twenty thousand lines. A controller that cannot explain itself writes none,
    and no file. A run that is gone on with explains its rounds anew from its checkpoint on; those that are in the
    file already are not written again. `sync` tells how far the file belongs to a checkpoint.
    """

    def __init__(self, path: Path, controller: object) -> None:
        self._controller = controller if isinstance(controller, Explains) else None
        self._path = path
        self._file: IO[str] | None = None
        self._written = _last_round(path)

    def round(self, number: int) -> Explanation | None:
        """Write why the decision of this round was taken, where it is this round's turn."""
        if self._controller is None or not is_due(number):
            return None
        explanation = self._controller.explain()
        if explanation is not None and number > self._written:
            row: dict[str, Any] = {"round": number}
            for knob in KNOBS:
                row[knob] = {
                    name: round(value, 4) for name, value in explanation.strongest(knob, STRONGEST).items()
                }
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._file.write(json.dumps(row, allow_nan=False) + "\n")
        return explanation

    def sync(self) -> int:
        """Let all lines survive a loss of power; the size of the file in bytes, 0 where there is none."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        return self._path.stat().st_size if self._path.exists() else 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _last_round(path: Path) -> int:
    """The last round in a file that a run left, -1 without one; a line cut off by a kill is taken away."""
    if not path.is_file():
        return -1
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    if len(whole) < len(lines):
        path.write_bytes(b"".join(whole))
    return int(json.loads(whole[-1])["round"]) if whole else -1


def is_due(number: int) -> bool:
    """Whether a round is one of those that are explained.

    >>> [k for k in range(4 * EVERY_ROUND) if is_due(k)][-3:], sum(map(is_due, range(1_000_000))) < 25_000
    ([8180, 8184, 8188], True)
    """
    stride = 1
    while number >= EVERY_ROUND * stride:
        stride *= 2
    return number % stride == 0
