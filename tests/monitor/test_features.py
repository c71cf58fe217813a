import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olrl.control.decision import Base
from olrl.monitor.feature_spec import FEATURE_NAMES, FEATURE_SPEC, check_spec, spec
from olrl.monitor.feature_table import INPUTS
from olrl.monitor.features import FeatureExtractor, batch_signals, stack_signals
from olrl.monitor.signals import Signals
from tests.monitor.literal_features import LiteralFeatures

BASE = Base(lr=1e-3, batch_size=8, window=4)
COLUMN = {name: column for column, name in enumerate(FEATURE_NAMES)}


def extractor(n: int = 1) -> FeatureExtractor:
    return FeatureExtractor.for_bases([BASE] * n)


def measured(n: int, rounds: int, *, seed: int = 0, missing: float = 0.1) -> list[dict[str, NDArray[Any]]]:
    """Rounds of plausible signals of n learners, some missing."""
    rng = np.random.default_rng(seed)
    series = []
    for _ in range(rounds):
        one = {name: np.exp(rng.normal(size=n)) for name in INPUTS}
        one |= {"grad_cos": rng.uniform(-1, 1, n), "grad_snr": rng.normal(size=n)}
        one |= {
            "gradient_age": rng.integers(0, 2, n).astype(float),
            "alarms": rng.integers(0, 2, n).astype(float),
        }
        one["window"] = rng.choice([0.0, 1.0, 2.0, 64.0], n)
        series.append({name: np.where(rng.random(n) < missing, np.nan, x) for name, x in one.items()})
    return series


def of_one(given: dict[str, NDArray[Any]], k: int) -> dict[str, NDArray[Any]]:
    return {name: values[k : k + 1] for name, values in given.items()}


def test_many_learners_at_once_see_the_same_bits_as_each_alone() -> None:
    together, alone = extractor(5), [extractor() for _ in range(5)]
    for given_ in measured(5, 60):
        batch = together.update(given_)
        assert (batch == np.concatenate([one.update(of_one(given_, k)) for k, one in enumerate(alone)])).all()


anything = st.none() | st.floats() | st.sampled_from([0.0, -1.0, 1e308, 5e-324])


@given(st.lists(st.dictionaries(st.sampled_from(INPUTS), anything), max_size=8))
def test_whatever_comes_in_features_are_finite_and_bounded(rounds: list[dict[str, float | None]]) -> None:
    features = extractor()
    for row in rounds:
        signals = {name: np.array([np.nan if x is None else x]) for name, x in row.items()}
        observation = features.update(signals)
        assert observation.dtype == np.float32
        assert observation.shape == (1, features.n_features)
        assert np.isfinite(observation).all()
        assert (np.abs(observation) <= 5).all()
    json.dumps(features.state_dict(), allow_nan=False)


def check_against_the_literal_one(rounds: list[dict[str, NDArray[Any]]], n: int) -> None:
    fast, literal = extractor(n), LiteralFeatures(n, BASE)
    for row in rounds:
        observation, expected = fast.update(row), literal.scaled(row)
        unclipped = fast._formulas._values.take(fast._formulas._where).T
        assert (np.isfinite(unclipped) == np.isfinite(expected)).all()
        known = np.isfinite(expected)
        np.testing.assert_allclose(unclipped[known], expected[known], rtol=1e-12, atol=1e-12)
        clipped = np.clip(np.where(known, expected, 0.0), -5, 5).T.astype(np.float32)
        np.testing.assert_array_equal(observation, clipped)
    mine, theirs = fast.state_dict(), literal.state_dict()
    np.testing.assert_allclose(mine["state"], theirs["state"], rtol=1e-12, atol=1e-12)
    assert {**mine, "state": 0} == {**theirs, "state": 0}


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("n", [1, 7])
def test_features_are_those_of_the_formulas_written_out(n: int, missing: float) -> None:
    check_against_the_literal_one(measured(n, 200, seed=n, missing=missing), n)


@given(
    st.lists(st.dictionaries(st.sampled_from(INPUTS), anything | st.floats(-3, 70)), min_size=1, max_size=12)
)
def test_so_they_are_of_absurd_signals(rounds: list[dict[str, float | None]]) -> None:
    check_against_the_literal_one(
        [{name: np.array([np.nan if x is None else x]) for name, x in row.items()} for row in rounds], 1
    )


def test_signals_in_one_array_are_the_same_signals() -> None:
    signals = [Signals(loss_nats=2.0, alarms=("adwin",), lr=2e-3, batch_size=k, window=0) for k in (1, 2)]
    named, stacked = extractor(2), extractor(2)
    for _ in range(3):
        expected = named.update(batch_signals(signals))
        np.testing.assert_array_equal(stacked.update(stack_signals(signals)), expected)
    with pytest.raises(ValueError, match="shape"):
        stacked.update(stack_signals(signals).T)


def test_an_impossible_round_does_not_spoil_the_ones_after() -> None:
    features = extractor()
    usual = measured(1, 40, missing=0.0)
    for given_ in usual:
        features.update(given_)
    features.update({name: np.array([np.inf]) for name in INPUTS})
    after = features.update(usual[0])
    assert np.count_nonzero(after) > 30


@pytest.mark.parametrize(
    ("signal", "mask", "features"),
    [
        ("loss_nats", "no_loss", ["loss_now", "surprise", "loss_3_10", "loss_noise", "train_loss"]),
        ("grad_snr", "no_grad_snr", ["grad_snr_3", "grad_snr_10"]),
        ("grad_norm", "no_grad_norm", ["grad_norm"]),
        ("grad_cos", "no_grad_cos", ["grad_cos", "grad_cos_4", "grad_cos_20", "grad_cos_4_scaled"]),
        ("update_ratio", "no_update_ratio", ["update_ratio"]),
        ("train_loss_nats", "no_train_loss", ["train_loss", "train_loss_10", "train_loss_10_scaled"]),
        ("loss_std", "no_loss_std", ["loss_std", "loss_std_now"]),
        ("old_new_gap", "no_old_new_gap", ["old_new_gap", "old_new_gap_10", "old_new_gap_10_scaled"]),
        ("hist_shift", "no_hist_shift", ["hist_shift", "hist_shift_now"]),
    ],
)
def test_a_missing_signal_is_neutral_and_masked(signal: str, mask: str, features: list[str]) -> None:
    with_history = extractor()
    for given_ in measured(1, 20, missing=0.0):
        before = with_history.update(given_)
    after = with_history.update({**given_, signal: np.array([np.nan])})
    assert (before[0, COLUMN[mask]], after[0, COLUMN[mask]]) == (0, 1)
    assert after[0, [COLUMN[name] for name in features]].tolist() == [0] * len(features)


def test_features_do_not_depend_on_the_unit_of_the_loss() -> None:
    # A nat, a bit or a tenth of a nat: policies must carry over between models of different loss.
    in_nats, in_tenths = extractor(), extractor()
    for given_ in measured(1, 40, missing=0.0):
        scaled = dict(given_)
        for name in ("loss_nats", "loss_std", "train_loss_nats", "old_new_gap", "grad_norm"):
            scaled[name] = given_[name] * 10
        np.testing.assert_allclose(in_nats.update(given_), in_tenths.update(scaled), atol=1e-4)


def test_scaled_features_do_not_shrink_when_most_of_the_loss_is_irreducible() -> None:
    rng = np.random.default_rng(0)
    plain, floored = extractor(), extractor()
    names = ("surprise", "loss_3_10_scaled", "loss_10_30_scaled", "loss_above_low_scaled")
    seen = []
    for t in range(80):
        reducible = 0.3 + 0.02 * rng.standard_normal() + 0.2 * (t >= 70)
        pair = [
            one.update({"loss_nats": np.array([reducible + floor])})[0, [COLUMN[name] for name in names]]
            for one, floor in ((plain, 1.0), (floored, 10.0))
        ]
        seen.append(pair)
    ours, theirs = np.array(seen[40:]).swapaxes(0, 1)
    assert np.abs(theirs).mean() > 0.9 * np.abs(ours).mean()


def test_known_values_of_a_first_and_a_second_round() -> None:
    features = extractor()
    signals = Signals(loss_nats=2.0, grad_cos=0.25, lr=2e-3, batch_size=16, window=0, updates=3, spent=32.0)
    first = features.update(batch_signals([signals]))[0]
    expected = {"lr": 0.5, "batch_size": 0.5, "window": 1.75, "window_from_base": 2.5, "lr_change": 1.0}
    expected |= {
        "updated": 1.0,
        "loss_now": 0.0,
        "grad_cos": 0.5,
        "spent": 0.5,
        "no_loss": 0.0,
        "updates": 0.0,
    }
    assert {name: float(first[COLUMN[name]]) for name in expected} == expected
    risen = Signals(loss_nats=2.0 * math.e, lr=2e-3, batch_size=16, window=0)
    second = features.update(batch_signals([risen]))[0]
    # The average of y over 10 has seen log 2 and log 2 + 1, so y stands half a nat above it; the unit is a half.
    assert second[COLUMN["loss_now"]] == pytest.approx(1.0)
    assert second[COLUMN["lr_change"]] == 0.0


def test_a_gradient_that_has_aged_is_not_averaged_in_again() -> None:
    features = extractor()
    row = {"grad_cos": np.array([0.2]), "gradient_age": np.array([0.0])}
    features.update(row)
    aged = features.update({"grad_cos": np.array([0.8]), "gradient_age": np.array([1.0])})[0]
    assert aged[COLUMN["grad_cos_4"]] == pytest.approx(0.2 / 0.5)


@pytest.mark.parametrize("which", [np.array([False, True, False]), np.array([1])])
def test_reset_forgets_those_learners_and_no_others(which: NDArray[Any]) -> None:
    features, untouched = extractor(3), extractor(3)
    series = measured(3, 20)
    for given_ in series:
        features.update(given_)
        untouched.update(given_)
    features.reset(which, base_lr=4e-3)
    fresh = FeatureExtractor(1, base_lr=4e-3, base_batch_size=8, base_window=4)
    now, kept = features.update(series[3]), untouched.update(series[3])
    assert (now[[0, 2]] == kept[[0, 2]]).all()
    assert (now[1:2] == fresh.update(of_one(series[3], 1))).all()


def test_saved_history_continues_to_the_same_bits_and_copies_are_independent() -> None:
    features = extractor(2)
    series = measured(2, 30)
    for given_ in series[:20]:
        features.update(given_)
    loaded = extractor(2)
    loaded.load_state_dict(json.loads(json.dumps(features.state_dict(), allow_nan=False)))
    twin = features.copy()
    for given_ in series[20:]:
        expected = features.update(given_)
        assert (loaded.update(given_) == expected).all()
    assert (twin.update(series[20]) == twin.copy().update(series[20])).sum() > 0
    with pytest.raises(ValueError, match="shape"):
        extractor(3).load_state_dict(features.state_dict())
    with pytest.raises(ValueError, match="version 0"):
        loaded.load_state_dict({**features.state_dict(), "version": 0})


def test_inputs_are_left_as_they_were() -> None:
    given_ = measured(2, 1)[0]
    before = {name: values.copy() for name, values in given_.items()}
    extractor(2).update(given_)
    assert all(np.array_equal(before[name], given_[name], equal_nan=True) for name in before)


def test_the_spec_describes_what_is_computed_and_travels_as_json() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_SPEC) == extractor().n_features
    check_spec(json.loads(json.dumps(spec())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(version=2), "version 2"),
        (lambda s: s.update(clip=4.0), "clipped"),
        (lambda s: s.update(more=1), "object with"),
        (lambda s: s["features"].pop(), "list of"),
        (lambda s: s["features"][3].update(unit=9.0), "feature 3 is"),
        (lambda s: s["features"].reverse(), "feature 0 is"),
    ],
)
def test_another_spec_is_refused_with_its_first_difference(change: Any, message: str) -> None:
    given_ = json.loads(json.dumps(spec()))
    change(given_)
    with pytest.raises(ValueError, match=message):
        check_spec(given_)


@pytest.mark.parametrize(
    "wrong", [{"base_lr": 0.0}, {"base_lr": np.nan}, {"base_batch_size": -1}, {"base_window": -2}]
)
def test_an_impossible_base_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="base"):
        FeatureExtractor(1, **{"base_lr": 1e-3, "base_batch_size": 8, "base_window": 4, **wrong})
