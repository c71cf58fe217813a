"""The formulas of the features, before they are centred and scaled, for n learners at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.averages import Averages

Array = NDArray[np.float64]

# The signals that features read, as the rows of one array. `alarms` is the number of detectors that fired.
INPUTS: tuple[str, ...] = (
    *("loss_nats", "train_loss_nats", "loss_std", "grad_norm", "update_ratio", "lr", "batch_size", "window"),
    *("grad_snr", "grad_cos", "gradient_age", "old_new_gap", "hist_shift", "hist_shift_last"),
    *("alarms", "rounds_since_alarm", "updates", "spent", "budget", "update_cost", "price", "nonfinite"),
)
ROW = {name: row for row, name in enumerate(INPUTS)}
_LOGGED = 7  # the first seven are used as logarithms
_LN2 = float(np.log(2.0))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round of n learners: every array of shape (n,) or with learners as its columns; NaN where missing.

    x: signals by name. logs: logarithms of the first inputs. window: position on the ladder. now: what has
    averages, in the order of `QUANTITIES`.
    """

    x: Mapping[str, Array]
    logs: Mapping[str, Array]
    window: Array
    now: Array


def measured(inputs: Array) -> Measured:
    """A round from its signals, shape (inputs, n) in the order of `INPUTS`."""
    x = {name: inputs[row] for name, row in ROW.items()}
    logs = dict(zip(INPUTS, np.log(inputs[:_LOGGED]), strict=False))
    now = np.array(
        [
            logs["loss_nats"],
            logs["train_loss_nats"] - logs["loss_nats"],
            logs["loss_std"] - logs["loss_nats"],
            x["old_new_gap"] / x["loss_nats"],
            x["hist_shift"],
            x["hist_shift_last"],
            np.arcsinh(100.0 * x["grad_snr"]),
            logs["grad_norm"],
            x["grad_cos"],
        ]
    )
    return Measured(x=x, logs=logs, window=window_position(x["window"]), now=now)


def window_position(window: Array) -> Array:
    """Positions on the window ladder, 0 (one chunk) to 6 (64 chunks), and 7 for the reservoir (0).

    >>> window_position(np.array([1.0, 8.0, 0.0]))
    array([0., 3., 7.])
    """
    position: Array = np.where(window == 0, 7.0, np.log2(within(window, 1.0, 64.0)))
    return position


def within(values: Array, low: float, high: float) -> Array:
    """`np.clip` without its overhead, which counts for one learner."""
    bounded: Array = np.minimum(np.maximum(values, low), high)
    return bounded


def decision_values(m: Measured, base: Array, last: Mapping[str, Array]) -> dict[str, Array]:
    """Where the decision stands beside the base (log lr, log batch size, position), and its last move."""
    lr, batch, window = m.logs["lr"], m.logs["batch_size"], m.window
    return {
        "lr": (lr - base[0]) / _LN2,
        "batch_size": (batch - base[1]) / _LN2,
        "window": window,
        "window_from_base": window - base[2],
        "lr_change": (lr - last["lr"]) / _LN2,
        "batch_size_change": (batch - last["batch_size"]) / _LN2,
        "window_change": window - last["window"],
        "updated": (m.x["updates"] > 0).astype(np.float64),
    }


def loss_values(
    m: Measured, averages: Averages, last: Mapping[str, Array], surprise: Array, spread: Array
) -> dict[str, Array]:
    """The loss beside its own past, relative to the loss and relative to its noise."""
    y = m.now[0]
    present = y * 0.0  # NaN where the loss is missing: then so is all that is made of it
    y3, y10, y30, y100 = averages.loss_mean + present
    above_low = y10 - last["low"]
    return {
        "loss_now": y - y10,
        "loss_3_10": y3 - y10,
        "loss_10_30": y10 - y30,
        "loss_30_100": y30 - y100,
        "loss_above_low": above_low,
        "surprise": surprise,
        "loss_3_10_scaled": (y3 - y10) / spread,
        "loss_10_30_scaled": (y10 - y30) / spread,
        "loss_30_100_scaled": (y30 - y100) / spread,
        "loss_above_low_scaled": above_low / spread,
        "loss_noise": np.log(spread) + present,
        "rise": last["rise"],
        "fall": last["fall"],
        "no_loss": ~np.isfinite(y),
    }


def gradient_values(m: Measured, averages: Averages, spreads: Array) -> dict[str, Array]:
    """What the gradients of the last updates say of the rate."""
    cos, snr, train = m.x["grad_cos"], m.x["grad_snr"], m.now[1]
    norm, ratio = m.logs["grad_norm"], m.logs["update_ratio"]
    # An average is missing where its quantity is missing now.
    cos4 = averages.mean("grad_cos", 4) + cos * 0.0
    cos20 = averages.mean("grad_cos", 20) + cos * 0.0
    train10 = averages.mean("train_loss", 10) + train * 0.0
    return {
        "grad_snr_3": averages.mean("grad_snr", 3) + snr * 0.0,
        "grad_snr_10": averages.mean("grad_snr", 10) + snr * 0.0,
        "grad_norm": norm - averages.mean("grad_norm", 30),
        "grad_cos": cos,
        "grad_cos_4": cos4,
        "grad_cos_20": cos20,
        "grad_cos_4_scaled": cos4 / spreads[3],
        "grad_cos_20_scaled": cos20 / spreads[3],
        "update_ratio": ratio,
        "gradient_age": np.log1p(np.maximum(m.x["gradient_age"], 0.0)),
        "train_loss": train,
        "train_loss_10": train10,
        "train_loss_10_scaled": train10 / spreads[0],
        "no_grad_snr": np.isnan(snr),
        "no_grad_norm": ~np.isfinite(norm),
        "no_grad_cos": np.isnan(cos),
        "no_update_ratio": ~np.isfinite(ratio),
        "no_train_loss": ~np.isfinite(train),
    }


def data_values(m: Measured, averages: Averages, before: Array, spreads: Array) -> dict[str, Array]:
    """How the new chunk differs from the past: within itself, from old chunks, in its tokens."""
    std, gap = m.now[2], m.now[3]
    gap10 = averages.mean("old_new_gap", 10) + gap * 0.0
    return {
        "loss_std": std,
        "loss_std_now": std - averages.mean("loss_std", 20),
        "old_new_gap": gap,
        "old_new_gap_10": gap10,
        "old_new_gap_10_scaled": gap10 / spreads[0],
        "hist_shift": m.x["hist_shift"],
        "hist_shift_now": before[1] / spreads[1],
        "hist_shift_last": m.x["hist_shift_last"],
        "hist_shift_last_now": before[2] / spreads[2],
        "no_loss_std": ~np.isfinite(std),
        "no_old_new_gap": ~np.isfinite(gap),
        "no_hist_shift": np.isnan(m.x["hist_shift"]),
    }


def bookkeeping_values(m: Measured, last: Mapping[str, Array]) -> dict[str, Array]:
    """Alarms, costs and time."""
    x = m.x
    return {
        "alarm": (x["alarms"] > 0).astype(np.float64),
        "since_alarm": np.log1p(np.maximum(x["rounds_since_alarm"], 0.0)),
        "price": np.log1p(50.0 * np.maximum(x["price"], 0.0)),
        "update_cost": np.log2((1.0 + x["update_cost"]) / x["budget"]),
        "spent": x["spent"] / x["budget"],
        "updates": np.log2(1.0 + np.maximum(x["updates"], 0.0)),
        "rounds": np.log1p(last["rounds"]),
        "nonfinite": (x["nonfinite"] > last["nonfinite"]).astype(np.float64),
    }
