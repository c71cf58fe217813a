"""The signals of many surrogate learners: `olrl.monitor.monitor.LoopMonitor`, vectorised."""

import numpy as np
from numpy.typing import NDArray

from olrl.control.coding import Decisions
from olrl.monitor.detectors import DetectorBank

from .batched_quadratic import Reports
from .quadratic_problem import BUDGET, DETECTORS, QuadraticProblem
from .training_batches import Array, Ints

_REPORTED = ("train_loss_nats", "grad_norm", "grad_snr", "grad_cos", "update_ratio")
_MEASURED = ("loss_nats", "loss_std", "old_new_gap", "alarms", "rounds_since_alarm")
_TRAINED = (*_REPORTED, "gradient_age", "updates", "spent", "nonfinite")
_IN_FORCE = ("lr", "batch_size", "window", "budget", "update_cost", "price")
_NAMES = (*_MEASURED, *_TRAINED, *_IN_FORCE)
_ROW = {name: row for row, name in enumerate(_NAMES)}


class BatchedMonitor:
    """Signals of n learners as arrays of shape (n,), NaN where missing, as `batch_signals` would give them."""

    def __init__(self, n: int) -> None:
        self._table = np.full((len(_NAMES), n), np.nan)
        self._masked = np.zeros((len(_NAMES), n), dtype=bool)
        self._detectors = [DetectorBank(DETECTORS) for _ in range(n)]
        self._rounds = np.zeros(n, dtype=np.int64)

    def __getitem__(self, name: str) -> Array:
        """A signal as it is, also where a controller may not see it."""
        row: Array = self._table[_ROW[name]]
        return row

    def reset(self, which: Ints, problems: list[QuadraticProblem]) -> None:
        """Start the monitors in `which` anew, for these problems."""
        self._table[:, which] = np.nan
        for name in ("updates", "spent", "nonfinite", "rounds_since_alarm"):
            self[name][which] = 0.0
        self["budget"][which] = BUDGET
        self._rounds[which] = 0
        for i, problem in zip(which, problems, strict=True):
            base = problem.base
            self["lr"][i], self["batch_size"][i], self["window"][i] = base.lr, base.batch_size, base.window
            self["update_cost"][i], self["price"][i] = problem.cost.update_cost, problem.price
            self._masked[:, i] = [name in problem.masked for name in _NAMES]
            self._detectors[i] = DetectorBank(DETECTORS)

    def measure(self, which: Ints, new: Array, old: Array) -> None:
        """Take in the losses on new chunks (k, CHUNK) and on probes (k, PROBES) of the learners in `which`.

        Probes count from the second round on: before, there is nothing in the memory.
        """
        finite = np.isfinite(new.sum(axis=1))
        sound = np.where(finite[:, None], new, np.nan)
        loss = sound.mean(axis=1)
        self["loss_nats"][which] = loss
        self["loss_std"][which] = sound.std(axis=1)
        gap = np.where(np.isfinite(old).all(axis=1), old.mean(axis=1) - loss, np.nan)
        self["old_new_gap"][which] = np.where(self._rounds[which] > 0, gap, np.nan)
        self["nonfinite"][which] += ~finite
        alarms = [
            len(self._detectors[i].update(value)) if value == value else 0
            for i, value in zip(which.tolist(), loss.tolist(), strict=True)
        ]
        self["alarms"][which] = alarms
        since = self["rounds_since_alarm"][which] + (self._rounds[which] > 0)
        self["rounds_since_alarm"][which] = np.where(self["alarms"][which] > 0, 0.0, since)
        self._rounds[which] += 1

    def trained(self, decisions: Decisions, which: Ints, reports: Reports, spent: Array) -> None:
        """Take in what a round's training did; `which` are the learners that `reports` are of."""
        self["lr"][:], self["batch_size"][:] = decisions.lr, decisions.batch_size
        self["window"][:], self["spent"][:] = decisions.window, spent
        updates = np.zeros(len(spent))
        updates[which] = reports.updates
        self["updates"][:] = updates
        self["nonfinite"][which] += reports.nonfinite
        updated = which[reports.updates > 0]
        for name in _REPORTED:
            self[name][updated] = getattr(reports, name)[reports.updates > 0]
        self["gradient_age"][:] += 1.0  # NaN stays: no gradient has been seen
        self["gradient_age"][updated] = 0.0

    def signals(self, which: Ints | slice = slice(None)) -> dict[str, Array]:
        """The signals of the learners in `which` as a controller sees them."""
        shown = np.where(self._masked[:, which], np.nan, self._table[:, which])
        return dict(zip(_NAMES, shown, strict=True))


def steps_and_cost(decisions: Decisions, update_cost: Array) -> tuple[NDArray[np.int64], Array]:
    """Steps of a round under each decision, and cost units they spend; as `CostModel` counts them."""
    unit = update_cost + decisions.batch_size
    steps = np.maximum(1, np.floor(BUDGET / unit)).astype(np.int64) * decisions.update
    return steps, steps * unit
