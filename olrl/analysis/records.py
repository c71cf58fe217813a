"""A run read back from its folder, as columns: whole, or block by block."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.analysis.check_rows import check_arrived, check_config, check_decision
from olrl.analysis.privacy import is_private
from olrl.control.decision import WINDOWS
from olrl.run_folder import RunFolder, count_json_lines, iterate_json_lines, read_json_lines

UNIFORM_BPB = 8.0  # what a predictor that knows nothing pays: charged where a loss was not finite
BLOCK_ROUNDS = 4096  # rows held at once where a run is read as a stream

BYTE, LABEL = "byte", "label"

Floats = NDArray[np.float64]
Row = dict[str, Any]
_BY_ROW = ("guard", "drift", "proposed", "reselected")  # what only some rows have


@dataclass(frozen=True, kw_only=True)
class RunRecords:
    """Columns of a run's rounds, each of shape (n,), and its configuration.

    `loss_bpb` holds NaN where the loss was not finite, and in all rounds of a run with differential privacy, whose
    losses are withheld; `loss_is_lost` tells the two apart. Of a classifier's run it holds bits a label, and
    `n_bytes` the labels that came; `unit_of` says which. `metric` is the accuracy of each round, NaN where
    nothing was answered, and `judged` what a classifier predicted, as (class, predicted class, documents).
    `window` is the value of the ladder (0: the reservoir), `window_index` its place on the ladder. `guard` and
    `drift` hold, for the rows that have any, the guard's reason and the detectors that fired; `proposed` the
    decisions proposed, for those in shadow; `reselected` why a classifier's text features were chosen anew.
    `ended` says why the run is over, None while it is not (or was killed).
    `smoothed_bpb` is there, with its time constant in rounds, where rows were left out, since it depends on all of
    them. The last three are what `running` adds: depending on all rounds so far, and on those of a second run.
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
    metric: Floats
    judged: list[list[tuple[int, int, int]]] = field(default_factory=list)
    guard: dict[int, str] = field(default_factory=dict)
    drift: dict[int, list[str]] = field(default_factory=dict)
    proposed: dict[int, dict[str, Any]] = field(default_factory=dict)
    reselected: dict[int, str] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    ended: str | None = None
    smoothed_bpb: Floats | None = None
    smoothed_over: int | None = None
    saved_share: Floats | None = None
    reference_bpb: Floats | None = None
    regret_bpb: Floats | None = None

    def __len__(self) -> int:
        return len(self.round)

    @property
    def window_index(self) -> NDArray[np.int64]:
        """Place of each round's window on the ladder 1, 2, 4, … 64, reservoir."""
        return np.array([WINDOWS.index(int(w)) for w in self.window], dtype=np.int64)

    def proposals(self, knob: str) -> Floats:
        """What was proposed for a knob in shadow (`window`: its place on the ladder); NaN in other rounds."""
        values = np.full(len(self), math.nan)
        for row, proposed in self.proposed.items():
            value = proposed[knob]
            values[row] = WINDOWS.index(value) if knob == "window" else value
        return values

    def smoothed(self) -> tuple[Floats, int]:
        """The loss averaged for a figure, bits per byte, and over how many rounds."""
        if self.smoothed_bpb is not None and self.smoothed_over is not None:
            return self.smoothed_bpb, self.smoothed_over
        over = smoothing(len(self))
        return smooth(self.loss_bpb, rounds=over), over

    @property
    def private(self) -> bool:
        """Whether the losses were withheld, since the run is one with differential privacy."""
        return is_private(self.config)

    @property
    def loss_is_lost(self) -> NDArray[np.bool_]:
        """The rounds whose loss was not finite; none where it was withheld, since nobody knows then."""
        return ~np.isfinite(self.loss_bpb) & (not self.private)

    @property
    def charged_bpb(self) -> Floats:
        """Loss with the uniform predictor's 8 bits a byte where it was not finite."""
        return np.where(np.isfinite(self.loss_bpb), self.loss_bpb, UNIFORM_BPB)

    def take(self, rows: NDArray[np.int64]) -> "RunRecords":
        """Only these rows."""
        taken: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                taken[name] = value[rows]
        for name in _BY_ROW:
            there = getattr(self, name)
            taken[name] = {new: there[old] for new, old in enumerate(rows.tolist()) if old in there}
        taken["source"] = [self.source[row] for row in rows]
        taken["judged"] = [self.judged[row] for row in rows] if self.judged else []
        return replace(self, **taken)


def join(parts: Sequence[RunRecords]) -> RunRecords:
    """Parts of one run, in order, as one."""
    joined: dict[str, Any] = {}
    for each in fields(RunRecords):
        values = [getattr(part, each.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            joined[each.name] = np.concatenate(values)
        elif isinstance(values[0], list):
            joined[each.name] = list(chain.from_iterable(values))
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    for name in _BY_ROW:
        joined[name] = {
            start + row: value
            for start, part in zip(starts, parts, strict=False)
            for row, value in getattr(part, name).items()
        }
    return replace(parts[0], **joined)


def read_run(folder: RunFolder) -> RunRecords:
    """All rounds of a run; ValueError when its files are missing, damaged or of different length.

    A run that was killed is read up to its last whole round. Holds some 200 bytes a round: `read_blocks` reads
    a run of any length.
    """
    return join(list(read_blocks(folder)))


def read_blocks(folder: RunFolder) -> Iterator[RunRecords]:
    """The rounds of a run in order, up to 4,096 at a time; raises as `read_run` does, at the latest at the end."""
    _check_lengths(folder)
    common = {"config": folder.read_config(), **_ending(folder)}
    check_config(common["config"])
    unit = unit_of(common["config"])
    rounds = zip(iterate_json_lines(folder.decisions), iterate_json_lines(folder.stream), strict=False)
    while block := list(islice(rounds, BLOCK_ROUNDS)):
        try:
            found = columns([row for row, _ in block], [chunk for _, chunk in block], unit=unit)
            yield RunRecords(**common, **found)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{folder.path}: a row of decisions.jsonl or stream.jsonl lacks {error}"
            ) from error


def count_rounds(folder: RunFolder) -> int:
    """How many rounds `read_blocks` gives; does not look into the rows."""
    return min(_lengths(folder))


def _lengths(folder: RunFolder) -> tuple[int, int]:
    if not folder.decisions.is_file() or not folder.stream.is_file():
        raise ValueError(
            f"{folder.path} has no decisions.jsonl and stream.jsonl: no round has been run there"
        )
    return count_json_lines(folder.decisions), count_json_lines(folder.stream)


def _check_lengths(folder: RunFolder) -> None:
    rows, arrived = _lengths(folder)
    if min(rows, arrived) == 0 or abs(rows - arrived) > 1:
        raise ValueError(f"{folder.path} holds {rows} decisions and {arrived} chunks: nothing to report")


def columns(rows: list[Row], arrived: list[Row], *, unit: str = BYTE) -> dict[str, Any]:
    """Lines of decisions.jsonl and stream.jsonl as columns; ValueError or KeyError where one is damaged."""
    for row in rows:
        check_decision(row)
    for row in arrived:
        check_arrived(row)
    found = {
        "round": np.array([r["round"] for r in rows], dtype=np.int64),
        "loss_bpb": np.array(
            [math.nan if r["loss_bpb"] is None else r["loss_bpb"] for r in rows], dtype=np.float64
        ),
        "lr": np.array([r["lr"] for r in rows], dtype=np.float64),
        "batch_size": np.array([r["batch_size"] for r in rows], dtype=np.float64),
        "window": np.array([r["window"] for r in rows], dtype=np.int64),
        "update": np.array([r["update"] for r in rows], dtype=np.bool_),
        "updates": np.array([r["updates"] for r in rows], dtype=np.int64),
        "spent": np.array([r["spent"] for r in rows], dtype=np.float64),
        "n_bytes": np.array([a["n_bytes"] for a in arrived], dtype=np.float64),
        "source": [str(a["source"]) for a in arrived],
        "segment": np.array([a["segment"] for a in arrived], dtype=np.int64),
        "metric": np.array(
            [math.nan if r.get("metric") is None else r["metric"] for r in rows], dtype=np.float64
        ),
        "guard": {k: r["guard"] for k, r in enumerate(rows) if r["guard"] is not None},
        "drift": {k: list(r["drift"]) for k, r in enumerate(rows) if r["drift"]},
        "proposed": {k: r["proposed"] for k, r in enumerate(rows) if "proposed" in r},
        "reselected": {k: r["text_features"]["reason"] for k, r in enumerate(rows) if "text_features" in r},
    }
    return _per_label(found, rows, arrived) if unit == LABEL else found


def unit_of(config: dict[str, Any]) -> str:
    """What the losses of a run are of: bytes of text, or labels."""
    return LABEL if config.get("run", {}).get("task") == "classify" else BYTE


def _per_label(columns: dict[str, Any], rows: list[Row], arrived: list[Row]) -> dict[str, Any]:
    """The columns with losses and sizes of labels in place of those of bytes."""
    nats = [math.nan if row["loss_nats"] is None else row["loss_nats"] for row in rows]
    judged = [[(int(a), int(b), int(n)) for a, b, n in chunk["judged"]] for chunk in arrived]
    labels = [sum(count for _, _, count in counts) for counts in judged]
    per_label = {"loss_bpb": np.array(nats) / math.log(2), "n_bytes": np.array(labels, dtype=np.float64)}
    return {**columns, **per_label, "judged": judged}


def _ending(folder: RunFolder) -> dict[str, Any]:
    """How the run ended, and the rows it could not use: from its ending, else counted in the dead letter."""
    if folder.ending.is_file():
        ending = read_json_lines(folder.ending)[0]
        return {"ended": str(ending["ended"]), "dead_letters": dict(ending["dead_letters"])}
    rejected = iterate_json_lines(folder.dead_letter) if folder.dead_letter.is_file() else iter(())
    return {"dead_letters": dict(sorted(Counter(str(row["reason"]) for row in rejected).items()))}


def smoothing(rounds: int) -> int:
    """A time constant that suits a figure of that many rounds: a fiftieth of them, from 3 to 200.

    >>> smoothing(60), smoothing(1000)
    (3, 20)
    """
    return min(max(rounds // 50, 3), 200)


class Smoother:
    """Exponential moving average with that time constant, without the bias of its start; skips NaN."""

    def __init__(self, *, rounds: int) -> None:
        self._keep = math.exp(-1.0 / rounds)
        self._total, self._weight = 0.0, 0.0

    def add(self, values: Floats) -> Floats:
        """The average after each of the next values, shape (n,)."""
        out, keep = np.empty(len(values)), self._keep
        for k, value in enumerate(values.tolist()):
            if math.isfinite(value):
                self._total = keep * self._total + (1 - keep) * value
                self._weight = keep * self._weight + (1 - keep)
            out[k] = self._total / self._weight if self._weight else math.nan
        return out


def smooth(values: Floats, *, rounds: int) -> Floats:
    """A whole series as `Smoother` smooths it.

    >>> smooth(np.array([1.0, 1.0, math.nan, 1.0]), rounds=10).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return Smoother(rounds=rounds).add(values)
