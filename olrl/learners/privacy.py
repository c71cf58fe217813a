"""Differential privacy of what is learned: what is promised, to whom, and how it is accounted for."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

from olrl.control.decision import Base
from olrl.learners.cost import CostModel

UNIT = "one training example: a sequence of predicted tokens with the one token before them"
# Signals that are functions of the text itself, not of noised gradients: withheld from whatever decides.
WITHHELD = frozenset(
    {
        *("loss_nats", "loss_bpb", "loss_std", "metric", "old_new_gap", "train_loss_nats", "uncertainty"),
        *("hist_shift", "hist_shift_last", "alarms", "rounds_since_alarm"),
    }
)
# What can steer by the rest. Others move batch or window, skip rounds, or need the loss or its alarms.
CONTROLLERS = ("base", "hypergradient", "inv-sqrt", "policy")


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """What is asked of differential privacy; one of `noise` and `epsilon` is given.

    noise: standard deviation of the noise on a step's gradient sum, in units of `clip`.
    epsilon: find the least noise that keeps to this, for every training example.
    clip: bound on the norm of one example's gradient (nats per token).
    delta: probability with which the promise may fail; far below one over the number of examples.
    """

    noise: float | None = None
    epsilon: float | None = None
    clip: float = 1.0
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if (self.noise is None) == (self.epsilon is None):
            raise ValueError(
                "differential privacy takes either a noise or an epsilon, not both and not neither"
            )
        for name in ("noise", "epsilon", "clip"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 < value <= 1e6):
                raise ValueError(f"dp {name} must be a positive number, not {value!r}")
        if not 0 < self.delta < 1:
            raise ValueError(f"dp delta must be between 0 and 1, not {self.delta!r}")


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """The promise of a run: (epsilon, delta)-differential privacy for each training example.

    Neighbours are streams that differ in one example, which in one of them contributes no gradient (zero-out
    adjacency; Kairouz et al., 2021). Each of the window's examples takes part in a step with probability
    `sample_rate`, on its own (Poisson sampling). It can take part in `steps` steps only, those of the rounds that
    it spends in the window, so that epsilon does not grow with the length of the stream. `noise` and `clip` as in
    `PrivacyConfig`.
    """

    epsilon: float
    delta: float
    noise: float
    clip: float
    sample_rate: float
    steps: int
    accountant: str = "Opacus, RDP"

    @classmethod
    def of(cls, config: PrivacyConfig, *, base: Base, chunk: int, cost: CostModel) -> "Guarantee":
        """The guarantee of a run with this base; ValueError where there is none to give."""
        if base.window == 0:
            raise ValueError(
                "differential privacy needs a sliding window, since in the reservoir an example may take part for "
                "ever: give --base-window 1, 2, 4, ... 64"
            )
        rate = base.batch_size / (base.window * chunk)
        if rate > 1:
            raise ValueError(
                f"differential privacy draws a batch of {base.batch_size} from the {base.window * chunk} sequences "
                f"of the window, which are fewer: give a larger --base-window or a smaller --base-batch"
            )
        steps = base.window * cost.updates(base.batch_size)
        noise = config.noise or _noise_for(config, rate, steps)
        return cls(
            epsilon=_epsilon(noise, rate, steps, config.delta),
            delta=config.delta,
            noise=noise,
            clip=config.clip,
            sample_rate=rate,
            steps=steps,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it with the unit, as config.json holds it."""
        return {**vars(self), "unit": UNIT}


def _epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    accountant = _opacus().RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    with warnings.catch_warnings():  # that another order of the divergence might give a smaller epsilon
        warnings.simplefilter("ignore")
        epsilon = float(accountant.get_epsilon(delta=delta))
    if not math.isfinite(epsilon):
        raise ValueError(f"noise {noise!r} gives no finite epsilon: give more")
    return epsilon


def _noise_for(config: PrivacyConfig, rate: float, steps: int) -> float:
    from importlib import import_module

    _opacus()
    solve = import_module("opacus.accountants.utils").get_noise_multiplier
    asked = {"target_epsilon": config.epsilon, "target_delta": config.delta}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(solve(**asked, sample_rate=rate, steps=steps, accountant="rdp"))
        except ValueError as error:
            raise ValueError(f"no noise keeps to epsilon {config.epsilon!r}: {error}") from error


def _opacus() -> Any:
    """Opacus' accountants, imported when they are needed: it is an extra."""
    from importlib import import_module

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("opacus.accountants")
    except ImportError as error:
        raise ValueError("differential privacy needs Opacus: pip install 'olrl[dp]'") from error
