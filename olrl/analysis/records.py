"""A run read back from its folder, as columns."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import WINDOWS
from olrl.run_folder import RunFolder, read_json_lines

UNIFORM_BPB = 8.0  # what a predictor that knows nothing pays: charged where a loss was not finite

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RunRecords:
    """Columns of a run's rounds, each of shape (n,), and its configuration.

    `loss_bpb` holds NaN where the loss was not finite. `window` is the value of the ladder (0: the
    reservoir), `window_index` its place on the ladder. `guard` and `drift` hold, for the rounds that have
    any, the guard's reason and the detectors that fired. `proposed` holds the decisions proposed in shadow,
    else nothing. `ended` says why the run is over, None while it is not (or was killed).
    """

    config: dict[str, Any]
    round: NDArray[np.int64]
    loss_bpb: Floats
    lr: Floats
    batch_size: Floats
    window: NDArray[np.int64]
    update: NDArray[np.bool_]
    updates: NDArray[np.int64]
    spent: Floats
    n_bytes: Floats
    source: list[str]
    segment: NDArray[np.int64]
    guard: dict[int, str] = field(default_factory=dict)
    drift: dict[int, list[str]] = field(default_factory=dict)
    proposed: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: dict[str, int] = field(default_factory=dict)
    ended: str | None = None

    def __len__(self) -> int:
        return len(self.round)

    @property
    def window_index(self) -> NDArray[np.int64]:
        """Place of each round's window on the ladder 1, 2, 4, … 64, reservoir."""
        return np.array([WINDOWS.index(int(w)) for w in self.window], dtype=np.int64)

    @property
    def charged_bpb(self) -> Floats:
        """Loss with the uniform predictor's 8 bits a byte where it was not finite."""
        return np.where(np.isfinite(self.loss_bpb), self.loss_bpb, UNIFORM_BPB)


def read_run(folder: RunFolder) -> RunRecords:
    """Read a run's files; ValueError when they are missing, damaged or of different length.

    A run that was killed is read up to its last whole round.
    """
    if not folder.decisions.is_file() or not folder.stream.is_file():
        raise ValueError(
            f"{folder.path} has no decisions.jsonl and stream.jsonl: no round has been run there"
        )
    rows, arrived = read_json_lines(folder.decisions), read_json_lines(folder.stream)
    n = min(len(rows), len(arrived))
    if n == 0 or abs(len(rows) - len(arrived)) > 1:
        raise ValueError(
            f"{folder.path} holds {len(rows)} decisions and {len(arrived)} chunks: nothing to report"
        )
    try:
        return _columns(folder, rows[:n], arrived[:n])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder.path}: a row of decisions.jsonl or stream.jsonl lacks {error}") from error


def _columns(folder: RunFolder, rows: list[dict[str, Any]], arrived: list[dict[str, Any]]) -> RunRecords:
    return RunRecords(
        config=folder.read_config(),
        round=np.array([r["round"] for r in rows], dtype=np.int64),
        loss_bpb=np.array(
            [math.nan if r["loss_bpb"] is None else r["loss_bpb"] for r in rows], dtype=np.float64
        ),
        lr=np.array([r["lr"] for r in rows], dtype=np.float64),
        batch_size=np.array([r["batch_size"] for r in rows], dtype=np.float64),
        window=np.array([r["window"] for r in rows], dtype=np.int64),
        update=np.array([r["update"] for r in rows], dtype=np.bool_),
        updates=np.array([r["updates"] for r in rows], dtype=np.int64),
        spent=np.array([r["spent"] for r in rows], dtype=np.float64),
        n_bytes=np.array([a["n_bytes"] for a in arrived], dtype=np.float64),
        source=[str(a["source"]) for a in arrived],
        segment=np.array([a["segment"] for a in arrived], dtype=np.int64),
        guard={k: r["guard"] for k, r in enumerate(rows) if r["guard"] is not None},
        drift={k: list(r["drift"]) for k, r in enumerate(rows) if r["drift"]},
        proposed=[r["proposed"] for r in rows] if all("proposed" in r for r in rows) else [],
        **_ending(folder),
    )


def _ending(folder: RunFolder) -> dict[str, Any]:
    """How the run ended, and the rows it could not use: from its ending, else counted in the dead letter."""
    if folder.ending.is_file():
        ending = read_json_lines(folder.ending)[0]
        return {"ended": str(ending["ended"]), "dead_letters": dict(ending["dead_letters"])}
    rejected = read_json_lines(folder.dead_letter) if folder.dead_letter.is_file() else []
    return {"dead_letters": dict(sorted(Counter(str(row["reason"]) for row in rejected).items()))}


def smoothing(rounds: int) -> int:
    """A time constant that suits a figure of that many rounds: a fiftieth of them, from 3 to 200.

    >>> smoothing(60), smoothing(1000)
    (3, 20)
    """
    return min(max(rounds // 50, 3), 200)


def smooth(values: Floats, *, rounds: int) -> Floats:
    """Exponential moving average with that time constant, without the bias of its start; skips NaN.

    >>> smooth(np.array([1.0, 1.0, math.nan, 1.0]), rounds=10).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    out, total, weight, keep = np.empty(len(values)), 0.0, 0.0, math.exp(-1.0 / rounds)
    for k, value in enumerate(values):
        if math.isfinite(value):
            total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        out[k] = total / weight if weight else math.nan
    return out
