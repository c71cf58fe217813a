"""The formulas of the features, over the rows of the table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.averages import Array
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES, FEATURE_SPEC
from olrl.monitor.feature_table import AT


class Formula(NamedTuple):
    """A feature before it is centred and scaled: (term − minus) / per, each of them a row of the table."""

    term: str
    minus: str = "zero"
    per: str = "one"


FORMULAS: dict[str, Formula] = {
    "lr": Formula("lr", minus="base lr", per="log 2"),
    "batch_size": Formula("batch_size", minus="base batch_size", per="log 2"),
    "window": Formula("window"),
    "window_from_base": Formula("window", minus="base window"),
    "lr_change": Formula("lr", minus="last lr", per="log 2"),
    "batch_size_change": Formula("batch_size", minus="last batch_size", per="log 2"),
    "window_change": Formula("window", minus="last window"),
    "updated": Formula("updated"),
    # The loss beside its own past, relative to the loss and relative to its noise.
    "loss_now": Formula("loss", minus="loss over 10"),
    "loss_3_10": Formula("loss over 3", minus="loss over 10"),
    "loss_10_30": Formula("loss over 10", minus="loss over 30"),
    "loss_30_100": Formula("loss over 30", minus="loss over 100"),
    "loss_above_low": Formula("loss over 10", minus="low"),
    "surprise": Formula("loss deviation", per="loss spread"),
    "loss_3_10_scaled": Formula("loss over 3", minus="loss over 10", per="loss spread"),
    "loss_10_30_scaled": Formula("loss over 10", minus="loss over 30", per="loss spread"),
    "loss_30_100_scaled": Formula("loss over 30", minus="loss over 100", per="loss spread"),
    "loss_above_low_scaled": Formula("loss over 10", minus="low", per="loss spread"),
    "loss_noise": Formula("log loss spread", minus="absent loss over 10"),
    "rise": Formula("rise"),
    "fall": Formula("fall"),
    "alarm": Formula("alarm"),
    "since_alarm": Formula("since_alarm"),
    # What the gradients of the last updates say of the rate.
    "grad_snr_3": Formula("grad_snr over 3"),
    "grad_snr_10": Formula("grad_snr over 10"),
    "grad_norm": Formula("grad_norm", minus="grad_norm over 30"),
    "grad_cos": Formula("grad_cos"),
    "grad_cos_4": Formula("grad_cos over 4"),
    "grad_cos_20": Formula("grad_cos over 20"),
    "grad_cos_4_scaled": Formula("grad_cos over 4", per="grad_cos spread"),
    "grad_cos_20_scaled": Formula("grad_cos over 20", per="grad_cos spread"),
    "update_ratio": Formula("update_ratio"),
    "gradient_age": Formula("gradient_age"),
    "train_loss": Formula("train_loss"),
    "train_loss_10": Formula("train_loss over 10"),
    "train_loss_10_scaled": Formula("train_loss over 10", per="loss spread"),
    # How the new chunk differs from the past: within itself, from old chunks, in its tokens.
    "loss_std": Formula("loss_std"),
    "loss_std_now": Formula("loss_std", minus="loss_std over 20"),
    "old_new_gap": Formula("old_new_gap"),
    "old_new_gap_10": Formula("old_new_gap over 10"),
    "old_new_gap_10_scaled": Formula("old_new_gap over 10", per="loss spread"),
    "hist_shift": Formula("hist_shift"),
    "hist_shift_now": Formula("hist_shift deviation", per="hist_shift spread"),
    "hist_shift_last": Formula("hist_shift_last"),
    "hist_shift_last_now": Formula("hist_shift_last deviation", per="hist_shift_last spread"),
    # Costs and time.
    "price": Formula("price"),
    "update_cost": Formula("update_cost"),
    "spent": Formula("spent"),
    "updates": Formula("updates"),
    "rounds": Formula("rounds"),
    "nonfinite": Formula("nonfinite rose"),
    # Masks.
    "no_loss": Formula("no loss"),
    "no_grad_snr": Formula("no grad_snr"),
    "no_grad_norm": Formula("no grad_norm"),
    "no_grad_cos": Formula("no grad_cos"),
    "no_update_ratio": Formula("no update_ratio"),
    "no_train_loss": Formula("no train_loss"),
    "no_loss_std": Formula("no loss_std"),
    "no_old_new_gap": Formula("no old_new_gap"),
    "no_hist_shift": Formula("no hist_shift"),
}
assert tuple(FORMULAS) == FEATURE_NAMES


def _rank(name: str) -> int:
    """Formulas are computed in an order in which those with a minus lie side by side, and those with a per."""
    formula = FORMULAS[name]
    divided, reduced = formula.per != "one", formula.minus != "zero"
    return (1 if reduced else 0) if divided else (2 if reduced else 3)


_ORDER = sorted(FORMULAS, key=_rank)
_DIVIDED = slice(0, sum(_rank(name) in (0, 1) for name in _ORDER))
_REDUCED = slice(sum(_rank(name) == 0 for name in _ORDER), sum(_rank(name) in (0, 1, 2) for name in _ORDER))
_TERM = np.array([AT[FORMULAS[name].term] for name in _ORDER])
_MINUS = np.array([AT[FORMULAS[name].minus] for name in _ORDER[_REDUCED]])
_PER = np.array([AT[FORMULAS[name].per] for name in _ORDER[_DIVIDED]])
_SCALES = [FEATURE_SPEC[FEATURE_NAMES.index(name)] for name in _ORDER]
_CENTRE = np.array([[feature.centre] for feature in _SCALES])
_PER_UNIT = np.array([[1.0 / feature.unit] for feature in _SCALES])
_COMPUTED = np.array([_ORDER.index(name) for name in FEATURE_NAMES])  # where a feature stands in that order
_NEUTRAL = np.array(0.0, dtype=np.float32)


class Formulas:
    """All formulas at once: from a table for n learners to their features, shape (n, features)."""

    def __init__(self, n: int) -> None:
        shape = (len(FORMULAS), n)
        self._values, self._missing = np.zeros(shape), np.zeros(shape, dtype=bool)
        self._reduced, self._divided = self._values[_REDUCED], self._values[_DIVIDED]
        self._minus, self._per = np.empty_like(self._reduced), np.empty_like(self._divided)
        # Written out for every learner: an operand that is broadcast takes twice as long.
        self._centre, self._per_unit = np.repeat(_CENTRE, n, axis=1), np.repeat(_PER_UNIT, n, axis=1)
        self._highest = np.full(shape, FEATURE_CLIP, dtype=np.float32)
        self._lowest = -self._highest
        self._where = _COMPUTED * n + np.arange(n)[:, None]  # in `values`, shape (n, features)

    def of(self, table: Array) -> NDArray[np.float32]:
        """Centred, scaled, clipped, and 0 where not finite."""
        values = self._values
        table.take(_TERM, 0, values, "clip")
        table.take(_MINUS, 0, self._minus, "clip")
        table.take(_PER, 0, self._per, "clip")
        np.subtract(self._reduced, self._minus, self._reduced)
        np.divide(self._divided, self._per, self._divided)
        np.subtract(values, self._centre, values)
        np.multiply(values, self._per_unit, values)
        np.isfinite(values, self._missing)
        np.logical_not(self._missing, self._missing)
        features = values.astype(np.float32)
        np.copyto(features, _NEUTRAL, where=self._missing)
        np.maximum(features, self._lowest, out=features)
        np.minimum(features, self._highest, out=features)
        return features.take(self._where)

    def unclipped(self) -> Array:
        """What `of` gave last, before it was clipped, shape (n, features); made only when asked for."""
        unclipped: Array = np.where(self._missing, 0.0, self._values).take(self._where)
        return unclipped
