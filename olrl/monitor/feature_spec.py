"""The features by name: what each one is made of, and on what scale; it travels with every policy."""

from dataclasses import asdict, dataclass
from typing import Any

SPEC_VERSION = 1
FEATURE_CLIP = 5.0


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One entry of the observation: `clip((value - centre) / unit, -5, 5)`, and 0 where the value is missing.

    `formula` says in words what the value is; averages over h rounds are exponential with weight 1/h, and
    log is natural unless it says log2. `group` is shared by features that need the same signals.
    """

    name: str
    formula: str
    group: str
    centre: float = 0.0
    unit: float = 1.0


def _feature(group: str, name: str, formula: str, centre: float = 0.0, unit: float = 1.0) -> Feature:
    return Feature(name=name, formula=formula, group=group, centre=centre, unit=unit)


# y = log loss_nats; s = root mean square over 30 rounds of y minus its average over 10 rounds before: what is
# divided by it does not shrink where most of the loss is irreducible.
FEATURE_SPEC: tuple[Feature, ...] = (
    _feature("decision", "lr", "log2(lr / base lr)", unit=2),
    _feature("decision", "batch_size", "log2(batch_size / base batch size)", unit=2),
    _feature("decision", "window", "position of the window on its ladder, 0 to 7", centre=3.5, unit=2),
    _feature("decision", "window_from_base", "position of the window minus that of the base", unit=2),
    _feature("decision", "lr_change", "log2(lr / lr a round before)"),
    _feature("decision", "batch_size_change", "log2(batch_size / batch_size a round before)"),
    _feature("decision", "window_change", "position of the window minus that a round before"),
    _feature("decision", "updated", "1 if the last round trained, else 0"),
    _feature("loss", "loss_now", "y minus its average over 10", unit=0.5),
    _feature("loss", "loss_3_10", "average of y over 3 minus over 10", unit=0.25),
    _feature("loss", "loss_10_30", "average of y over 10 minus over 30", unit=0.25),
    _feature("loss", "loss_30_100", "average of y over 30 minus over 100", unit=0.25),
    _feature("loss", "loss_above_low", "average of y over 10 minus its leaky minimum", unit=0.25),
    _feature("loss", "surprise", "(y minus its average over 10 before) / s"),
    _feature("loss", "loss_3_10_scaled", "(average of y over 3 minus over 10) / s"),
    _feature("loss", "loss_10_30_scaled", "(average of y over 10 minus over 30) / s"),
    _feature("loss", "loss_30_100_scaled", "(average of y over 30 minus over 100) / s"),
    _feature("loss", "loss_above_low_scaled", "(average of y over 10 minus its leaky minimum) / s", unit=2),
    _feature("loss", "loss_noise", "log s", centre=-3, unit=1.5),
    _feature("loss", "rise", "CUSUM of surprise - 0.5, forgetting 5 % a round, from 0 to 20", unit=5),
    _feature("loss", "fall", "CUSUM of -surprise - 0.5, forgetting 5 % a round, from 0 to 20", unit=5),
    _feature("alarm", "alarm", "1 if a drift detector fired on the new chunk, else 0"),
    _feature("alarm", "since_alarm", "log(1 + rounds_since_alarm)", centre=3, unit=1.5),
    _feature("grad_snr", "grad_snr_3", "average over 3 of asinh(100 grad_snr)", centre=1, unit=2),
    _feature("grad_snr", "grad_snr_10", "average over 10 of asinh(100 grad_snr)", centre=1, unit=2),
    _feature("grad_norm", "grad_norm", "log grad_norm minus its average over 30", unit=0.5),
    _feature("grad_cos", "grad_cos", "grad_cos", unit=0.5),
    _feature("grad_cos", "grad_cos_4", "average of grad_cos over 4", unit=0.5),
    _feature("grad_cos", "grad_cos_20", "average of grad_cos over 20", unit=0.25),
    _feature(
        "grad_cos", "grad_cos_4_scaled", "average of grad_cos over 4 / its root mean square over 30", unit=0.5
    ),
    _feature(
        "grad_cos",
        "grad_cos_20_scaled",
        "average of grad_cos over 20 / its root mean square over 30",
        unit=0.25,
    ),
    _feature("update_ratio", "update_ratio", "log update_ratio", centre=-4.5, unit=1.5),
    _feature("gradient", "gradient_age", "log(1 + gradient_age)"),
    _feature("train_loss", "train_loss", "log(train_loss_nats / loss_nats)", unit=0.25),
    _feature("train_loss", "train_loss_10", "average of log(train_loss_nats / loss_nats) over 10", unit=0.25),
    _feature("train_loss", "train_loss_10_scaled", "the same / s", unit=2),
    _feature("loss_std", "loss_std", "log(loss_std / loss_nats)", centre=-1.5),
    _feature("loss_std", "loss_std_now", "log(loss_std / loss_nats) minus its average over 20", unit=0.5),
    _feature("old_new_gap", "old_new_gap", "old_new_gap / loss_nats", unit=0.25),
    _feature("old_new_gap", "old_new_gap_10", "average of old_new_gap / loss_nats over 10", unit=0.25),
    _feature("old_new_gap", "old_new_gap_10_scaled", "the same / s", unit=2),
    _feature("hist_shift", "hist_shift", "hist_shift", centre=0.3, unit=0.2),
    _feature(
        "hist_shift", "hist_shift_now", "(hist_shift minus its average over 20 before) / its spread over 30"
    ),
    _feature("hist_shift", "hist_shift_last", "hist_shift_last", centre=0.3, unit=0.2),
    _feature("hist_shift", "hist_shift_last_now", "the same as hist_shift_now, of hist_shift_last"),
    _feature("cost", "price", "log(1 + 50 price)", unit=1),
    _feature("cost", "update_cost", "log2((1 + update_cost) / budget)", centre=-3.5, unit=1.5),
    _feature("cost", "spent", "spent / budget"),
    _feature("cost", "updates", "log2(1 + updates)", centre=2, unit=2),
    _feature("time", "rounds", "log(1 + rounds seen)", centre=4, unit=1.5),
    _feature("time", "nonfinite", "1 if nonfinite rose since the last round, else 0"),
    _feature("loss", "no_loss", "1 if loss_nats is missing, else 0"),
    _feature("grad_snr", "no_grad_snr", "1 if grad_snr is missing, else 0"),
    _feature("grad_norm", "no_grad_norm", "1 if grad_norm is missing, else 0"),
    _feature("grad_cos", "no_grad_cos", "1 if grad_cos is missing, else 0"),
    _feature("update_ratio", "no_update_ratio", "1 if update_ratio is missing, else 0"),
    _feature("train_loss", "no_train_loss", "1 if train_loss_nats is missing, else 0"),
    _feature("loss_std", "no_loss_std", "1 if loss_std is missing, else 0"),
    _feature("old_new_gap", "no_old_new_gap", "1 if old_new_gap is missing, else 0"),
    _feature("hist_shift", "no_hist_shift", "1 if hist_shift is missing, else 0"),
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURE_SPEC)


def spec() -> dict[str, Any]:
    """The spec as it is written into a policy file: version, clip and the features in order, JSON-able.

    >>> spec()["features"][0]["formula"]
    'log2(lr / base lr)'
    """
    return {
        "version": SPEC_VERSION,
        "clip": FEATURE_CLIP,
        "features": [asdict(feature) for feature in FEATURE_SPEC],
    }


def check_spec(given: Any) -> None:
    """Raises ValueError, naming the first difference, unless `given` is the spec of this version.

    >>> check_spec(spec())
    >>> check_spec({**spec(), "version": 99})
    Traceback (most recent call last):
    ...
    ValueError: features of version 99 were trained on, and this olrl computes version 1
    """
    if not isinstance(given, dict) or set(given) != {"version", "clip", "features"}:
        raise ValueError("a feature spec is an object with version, clip and features")
    if given["version"] != SPEC_VERSION:
        raise ValueError(
            f"features of version {given['version']} were trained on, "
            f"and this olrl computes version {SPEC_VERSION}"
        )
    if given["clip"] != FEATURE_CLIP:
        raise ValueError(f"features are clipped to ±{FEATURE_CLIP}, not to ±{given['clip']}")
    if not isinstance(given["features"], list) or len(given["features"]) != len(FEATURE_SPEC):
        raise ValueError(
            f"a feature spec of version {SPEC_VERSION} has a list of {len(FEATURE_SPEC)} features"
        )
    for index, (mine, theirs) in enumerate(zip(FEATURE_SPEC, given["features"], strict=True)):
        if theirs != asdict(mine):
            raise ValueError(f"feature {index} is {asdict(mine)} here, but the spec says {theirs}")
