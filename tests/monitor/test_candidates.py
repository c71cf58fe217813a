"""Candidates beside their formulas written out for one learner."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from olrl.control.decision import Base
from olrl.monitor.candidates import CHANNELS, parse_candidate, simple_candidates
from olrl.monitor.feature_set import HAND_MADE, SelectedSet, feature_set_of
from olrl.monitor.features import batch_signals, stack_signals
from olrl.monitor.signals import Signals
from tests.monitor.selected_sets import every_simple_candidate, selected_set

BASE = Base(lr=1e-3, batch_size=8, window=4)


def signals(rng: np.random.Generator) -> Signals:
    """A round of a learner, now and then without some measurement."""
    measured: dict[str, float] = {
        "loss_nats": float(np.exp(rng.normal(scale=0.3))),
        "train_loss_nats": float(np.exp(rng.normal(scale=0.3))),
        "loss_std": float(np.exp(rng.normal() - 1)),
        "old_new_gap": float(rng.normal(scale=0.1)),
        "hist_shift": float(rng.uniform(0, 0.8)),
        "hist_shift_last": float(rng.uniform(0, 0.8)),
        "grad_snr": float(rng.normal(scale=0.05)),
        "grad_norm": float(np.exp(rng.normal())),
        "grad_cos": float(rng.uniform(-1, 1)),
        "update_ratio": float(np.exp(rng.normal() - 4)),
    }
    kept: dict[str, Any] = {name: value for name, value in measured.items() if rng.random() < 0.85}
    return Signals(
        **kept,
        lr=1e-3 * 2.0 ** int(rng.integers(-2, 3)),
        batch_size=int(rng.choice([4, 8, 16])),
        window=int(rng.choice([1, 4, 0])),
        alarms=("adwin",) if rng.random() < 0.2 else (),
        rounds_since_alarm=int(rng.integers(0, 30)),
        gradient_age=int(rng.integers(0, 3)),
        updates=int(rng.integers(0, 9)),
        spent=float(rng.uniform(0, 64)),
        price=float(rng.uniform(0, 0.1)),
    )


def position(window: int | None) -> float:
    return 7.0 if window == 0 else math.log2(window or 1)


def channel(name: str, s: Signals, seen: int) -> float:
    """A channel of one round, nan where it is missing."""

    def known(value: float | None) -> float:
        return math.nan if value is None else value

    loss = math.log(s.loss_nats) if s.loss_nats else math.nan
    assert s.lr is not None
    assert s.batch_size is not None
    values: dict[str, float] = {
        "loss": loss,
        "train_loss": np.log(known(s.train_loss_nats)) - loss,
        "loss_std": np.log(known(s.loss_std)) - loss,
        "old_new_gap": known(s.old_new_gap) / known(s.loss_nats),
        "hist_shift": known(s.hist_shift),
        "hist_shift_last": known(s.hist_shift_last),
        "grad_snr": np.arcsinh(100 * known(s.grad_snr)),
        "grad_norm": np.log(known(s.grad_norm)),
        "grad_cos": known(s.grad_cos),
        "update_ratio": np.log(known(s.update_ratio)),
        "lr": math.log2(s.lr / BASE.lr),
        "batch_size": math.log2(s.batch_size / BASE.batch_size),
        "window": position(s.window),
        "window_from_base": position(s.window) - position(BASE.window),
        "updates": math.log2(1 + s.updates),
        "spent": s.spent / s.budget,
        "price": math.log1p(50 * s.price),
        "update_cost": math.log2((1 + s.update_cost) / s.budget),
        "alarm": float(bool(s.alarms)),
        "since_alarm": math.log1p(s.rounds_since_alarm),
        "gradient_age": math.log1p(known(s.gradient_age)),
        "rounds": math.log1p(seen),
    }
    return values[name]


def average(values: list[float], horizon: int) -> float:
    """Of the finite ones, the newest weighing most: normalised weights, nan if there are none."""
    known = [value for value in values if math.isfinite(value)]
    weights = [(1 - 1 / horizon) ** age for age in range(len(known))]
    if not known:
        return math.nan
    return sum(w * v for w, v in zip(weights, reversed(known), strict=True)) / sum(weights)


def literal(name: str, rows: list[Signals]) -> float:
    """A simple candidate after these rounds."""
    parsed = parse_candidate(name)
    values = [channel(parsed.group, row, seen) for seen, row in enumerate(rows)]
    numbers = parsed.numbers  # type: ignore[union-attr] # only simple ones are asked for
    operation = parsed.operation  # type: ignore[union-attr]
    if operation == "now":
        return values[-1]
    if operation in ("lag", "change"):
        before = values[-1 - numbers[0]] if len(values) > numbers[0] else math.nan
        return before if operation == "lag" else values[-1] - before
    if operation == "mean":
        return average(values, numbers[0])
    if operation == "ratio":
        return average(values, numbers[0]) - average(values, numbers[1])
    deviations = [values[t] - average(values[:t], numbers[0]) for t in range(len(values))]
    spread = math.sqrt(average([d * d for d in deviations], 30))
    return deviations[-1] / max(spread, 1e-6)


def test_every_simple_candidate_is_its_formula() -> None:
    rng, chosen = np.random.default_rng(0), every_simple_candidate()
    extractor, rows = chosen.extractor([BASE, BASE]), []
    for _ in range(40):
        rows.append(signals(rng))
        observation = extractor.update(stack_signals([rows[-1], signals(rng)]))
    assert np.isfinite(observation).all()
    assert {one.channel for one in simple_candidates()} == set(CHANNELS)
    for name, found in zip(chosen.names, observation[0], strict=True):
        value = literal(name, rows)
        expected = 0.0 if math.isnan(value) else min(max(value, -5.0), 5.0)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5), name


def test_a_product_is_of_its_factors_as_features() -> None:
    names = ("z(loss, 10)", "now(alarm)", "z(loss, 10) * now(alarm)")
    extractor, rng = selected_set(names).extractor([BASE]), np.random.default_rng(1)
    for _ in range(20):
        one, other, product = extractor.update(batch_signals([replace(signals(rng), loss_nats=1.5)]))[0]
    raw = np.sign(one * other) * np.sqrt(abs(one * other))
    assert product == pytest.approx(np.clip((raw - 0.25) / 0.5, -5, 5), abs=1e-5)


def test_before_the_first_measurement_everything_is_neutral() -> None:
    extractor = every_simple_candidate().extractor([BASE])
    observation = extractor.update(stack_signals([Signals(lr=1e-3, batch_size=8, window=4)]))
    measured = [k for k, name in enumerate(extractor._features) if name.candidate.group == "loss"]
    assert not observation[0, measured].any()


def test_learners_are_put_in_place_of_others_and_go_on() -> None:
    rng = np.random.default_rng(2)
    chosen = selected_set()
    both, single = chosen.extractor([BASE, BASE]), chosen.extractor([replace(BASE, lr=2e-3)])
    for _ in range(5):
        both.update(stack_signals([signals(rng), signals(rng)]))
        single.update(stack_signals([signals(rng)]))
    both.put(np.array([1]), single)
    given = signals(rng)
    np.testing.assert_array_equal(
        both.update(stack_signals([given, given]))[1], single.update(stack_signals([given]))[0]
    )


def test_a_spec_survives_json_and_the_one_by_hand_is_found() -> None:
    chosen = selected_set()
    again = feature_set_of(json.loads(json.dumps(chosen.spec())))
    assert isinstance(again, SelectedSet)
    assert again.spec() == chosen.spec()
    assert feature_set_of(HAND_MADE.spec()) is HAND_MADE


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("now(loss)", "the model's own"),
        ("mean(grad_norm, 3)", "the model's own"),
        ("mean(grad_cos, 4)", "numbers"),
        ("ratio(loss, 10, 3)", "numbers"),
        ("lag(lr, 99)", "numbers"),
        ("now(secret)", "known are"),
        ("eval(loss)", "known are"),
        ("__import__('os')", "is no feature"),
        ("now(lr) * now(lr) * now(lr)", "is no feature"),
        ("x" * 300, "at most 200"),
    ],
)
def test_what_is_no_candidate_is_refused(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_candidate(name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 9}, "version 9"),
        ({"clip": 3.0}, "clip 3.0"),
        ({"features": []}, "1 to 512 features"),
        ({"features": "all"}, "are lists"),
        ({"features": [{"name": "now(lr)"}]}, "centre, name, scores, unit"),
        ({"features": [{"name": "now(lr)", "centre": 0, "unit": 0, "scores": {}}]}, "unit positive"),
        ({"features": [{"name": "now(lr)", "centre": "0", "unit": 1, "scores": {}}]}, "numbers for centre"),
        ({"features": [{"name": "now(lr)", "centre": 0, "unit": 1, "scores": {"l1": "much"}}]}, "scores"),
        ({"features": [{"name": "now(lr)", "centre": 0, "unit": 1, "scores": {}}] * 2}, "twice"),
        ({"factors": []}, "not its scale"),
        ({"more": 1}, "is an object with"),
    ],
)
def test_a_spec_that_does_not_fit_together_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        feature_set_of({**selected_set().spec(), **change})
