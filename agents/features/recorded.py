"""What recorded training runs say: values of candidates, and what they are to predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.monitor.candidates import Histories, Simple
from olrl.run_folder import RunFolder

from ..hindsight.config import HindsightConfig
from ..hindsight.returns import discounted_returns
from ..hindsight.runs import StreamRuns
from ..hindsight.targets import RATE_MOVES, choice_costs

Floats = NDArray[np.float64]
DEAREST = 15.0  # per cent, as the fit bounds costs
TARGETS = ("lr", "batch_size", "window", "update", "return")


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """N decisions drawn from recorded runs.

    values: of each candidate before each decision, NaN where it could not be told, shape (N, candidates).
    targets: what a policy ought to know there, shape (N, len(TARGETS)): how much dearer the upper choice of a knob
    is than the lower one, per cent of the loss over the rounds that follow, and the discounted return; NaN where a
    learner was not steered by a policy, whose returns no policy will have.
    streams: which stream each is of, shape (N,).
    """

    values: Floats
    targets: Floats
    streams: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The runs on one stream, and what they were made with."""

    runs: StreamRuns
    config: HindsightConfig
    coding: str
    gamma: float


def read_recorded(folders: Sequence[Path]) -> list[Recorded]:
    """The hindsight runs in folders of `olrl train`; ValueError where there are fewer than four streams."""
    found: list[Recorded] = []
    for folder in folders:
        config = RunFolder.open(folder).read_config()
        recipe = config.get("recipe")
        if config.get("command") != "train" or not isinstance(recipe, dict):
            raise ValueError(f"{folder} is not the folder of an olrl train run")
        for stage in recipe["stages"]:
            found += _of_stage(folder / "hindsight" / stage["name"], stage, recipe["coding"])
    if len(found) < 4:
        raise ValueError(
            f"features are selected from the runs of at least 4 streams, and {len(found)} were found: give "
            f"folders of training runs with a hindsight stage"
        )
    return found


def _of_stage(folder: Path, stage: dict[str, Any], coding: str) -> list[Recorded]:
    found = []
    for path in sorted(folder.glob("[0-9]*.npz")):
        try:
            runs = StreamRuns.load(path)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{path} holds no runs with signals: it is damaged, or an older olrl made it"
            ) from error
        config = HindsightConfig(**stage["hindsight"])
        found.append(Recorded(runs=runs, config=config, coding=coding, gamma=stage["ppo"]["gamma"]))
    return found


def draw_decisions(
    recorded: Sequence[Recorded], candidates: Sequence[Simple], *, count: int, seed: int
) -> Decisions:
    """Decisions drawn at random, as many of each stream; the first of a run, made before anything, is left out."""
    rng = np.random.default_rng(seed)
    each = max(1, count // len(recorded))
    values, targets, streams = [], [], []
    for number, one in enumerate(recorded):
        n, rounds = one.runs.octaves.shape
        lanes, times = rng.integers(n, size=each), rng.integers(1, rounds, size=each)
        values.append(_values(one.runs, candidates, lanes, times))
        targets.append(_targets(one)[lanes, times])
        streams.append(np.full(each, number))
    return Decisions(
        values=np.concatenate(values), targets=np.concatenate(targets), streams=np.concatenate(streams)
    )


def _values(
    runs: StreamRuns, candidates: Sequence[Simple], lanes: NDArray[np.int64], times: NDArray[np.int64]
) -> Floats:
    bases = [Base(lr=float(lr), batch_size=int(size), window=int(window)) for lr, size, window in runs.bases]
    histories = Histories(bases)
    values = np.empty((len(lanes), len(candidates)))
    for t in range(int(times.max()) + 1):
        histories.update(np.ascontiguousarray(runs.signals[:, t].T))
        (here,) = np.nonzero(times == t)
        if len(here):
            for k, candidate in enumerate(candidates):
                values[here, k] = histories.value(candidate)[lanes[here]]
    return values


def _targets(one: Recorded) -> Floats:
    """All targets of a stream's decisions, shape (n, T, len(TARGETS))."""
    runs = one.runs
    rate, batch, window, update = (
        np.minimum(table, DEAREST) for table in choice_costs(runs, coding=one.coding, config=one.config)
    )
    moves = RATE_MOVES[one.coding]
    up, down = moves.index(1), moves.index(-1)
    lanes = one.config.policy_lanes
    returns = np.full(runs.octaves.shape, np.nan)
    returns[-lanes:] = discounted_returns(runs, lanes=lanes, gamma=one.gamma)
    return np.stack(
        [
            rate[..., up] - rate[..., down],
            batch[..., -1] - batch[..., 0],
            window[..., -1] - window[..., 0],
            update[..., -1] - update[..., 0],
            returns,
        ],
        axis=-1,
    )
