from typing import Any

import pytest

from olrl.control.decision import Base
from olrl.run_config import CONTROLLERS, RunConfig


def test_the_users_setting_changes_what_ships_and_leaves_the_rest() -> None:
    shipped = Base(lr=1e-3, batch_size=4, window=2, weight_decay=0.1)
    asked = RunConfig(stream="-", base_lr=2e-3, base_window=0)
    assert asked.base(shipped, model="nano") == Base(lr=2e-3, batch_size=4, window=0, weight_decay=0.1)


def test_a_model_without_a_base_takes_the_users_rate_and_the_usual_rest() -> None:
    assert RunConfig(stream="-", base_lr=2e-3).base(None, model="own") == Base(lr=2e-3)
    with pytest.raises(ValueError, match="'own' ships no base configuration: give --base-lr"):
        RunConfig(stream="-", base_batch=4).base(None, model="own")


def test_the_controllers_of_a_run_need_no_more_than_signals() -> None:
    assert CONTROLLERS == (
        "never", "base", "hypergradient", "drift-reset", "inv-sqrt", "plateau", "greedy-lr", "gns-batch",
        "bandit", "skip-periodic", "skip-random", "skip-detector", "skip-cost-aware", "policy",
    )  # fmt: skip


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="round"):
        RunConfig(stream="-", round=3)  # type: ignore[call-arg]


def test_rates_that_ship_are_adamws_and_vadam_shares_them() -> None:
    shipped = Base(lr=1e-3)
    assert RunConfig(stream="-", optimizer="vadam").base(shipped, model="nano") == shipped
    with pytest.raises(ValueError, match=r"tuned for adamw: give --base-lr, .* train with von"):
        RunConfig(stream="-", optimizer="von").base(shipped, model="nano")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"dtype": "float16"}, "dtype must be float32 or bfloat16, not 'float16'"),
        ({"task": "classify"}, "dtype bfloat16 is there for --task lm and answer"),
        ({"optimizer": "von"}, "a posterior over weights would be rounded away in bfloat16"),
        ({"dp_noise": 1.0, "controller": "base"}, "differential privacy is there for --dtype float32 only"),
    ],
)
def test_what_bfloat16_cannot_hold_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RunConfig(stream="-", **{"dtype": "bfloat16", **asked})


def test_adapters_may_have_a_posterior_beside_bfloat16_since_they_are_float32() -> None:
    assert RunConfig(stream="-", dtype="bfloat16", optimizer="von", lora="r=2").lora == "r=2"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"optimizer": "adam"}, "optimizer must be one of adamw, sgd, von, vadam, not 'adam'"),
        ({"draws": 4}, "draws has no effect with the optimizer 'adamw', .* choose von or vadam"),
        ({"optimizer": "von", "draws": -1}, "draws must be at least 0, not -1"),
        (
            {"optimizer": "vadam", "dp_noise": 1.0, "controller": "base"},
            "cannot learn with differential privacy",
        ),
    ],
)
def test_optimizers_that_there_are_not_and_settings_without_effect_are_errors(
    asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        RunConfig(stream="-", **asked)
