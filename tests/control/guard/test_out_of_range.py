import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from olrl.control.guard import Guard, GuardSettings
from olrl.control.guard.out_of_range import OutOfRange
from olrl.control.training_range import TrainingRange
from olrl.control.training_region import WATCHED
from olrl.monitor.feature_spec import FEATURE_NAMES
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE, Seeing, usual

RNG = np.random.default_rng(0)
SEEN = RNG.normal(size=(3000, len(FEATURE_NAMES)))
INSIDE: NDArray[np.float64] = SEEN[0] * 0.1


def far(name: str = "grad_norm", value: float = 60.0) -> NDArray[np.float64]:
    x: NDArray[np.float64] = INSIDE.copy()
    x[FEATURE_NAMES.index(name)] = value
    return x


def alive(k: int) -> Signals:
    """A healthy round in which all that is measured differs from the round before."""
    x = 0.1 + k / 100
    return replace(usual(k), gradient_age=0, loss_std=x, train_loss_nats=x, grad_snr=x, update_ratio=x)


def watch(**settings: Any) -> OutOfRange:
    watcher = OutOfRange(TrainingRange.of({"lm": SEEN}), GuardSettings(**settings))
    for k in range(10):
        assert watcher.check(INSIDE, alive(k)) is None
    return watcher


def test_a_single_round_outside_is_no_reason_and_two_in_a_row_are() -> None:
    watcher = watch(enter=2, leave=3)
    given = [far(), INSIDE, far(), far(), INSIDE, INSIDE, INSIDE, INSIDE]
    reasons = [watcher.check(x, alive(k + 10)) for k, x in enumerate(given)]
    assert [reason is not None for reason in reasons] == [False, False, False, True, True, True, False, False]
    assert reasons[3] == "grad_norm is 60 outside of the training range"


def test_the_first_rounds_whose_averages_have_not_settled_are_never_out() -> None:
    watcher = OutOfRange(TrainingRange.of({"lm": SEEN}), GuardSettings())
    assert [watcher.check(far(), alive(k)) for k in range(10)] == [None] * 10


def test_a_frozen_signal_is_found_without_any_range() -> None:
    watcher, found = OutOfRange(None, GuardSettings(frozen=4)), []
    for k in range(6):
        found.append(watcher.check(INSIDE, replace(alive(k), grad_norm=0.7)))
    assert found == [None, None, None, *["grad_norm is frozen"] * 3]


def test_a_chunk_of_one_example_has_no_spread_and_that_is_not_frozen() -> None:
    watcher = OutOfRange(None, GuardSettings())
    assert [watcher.check(INSIDE, replace(alive(k), loss_std=0.0)) for k in range(8)] == [None] * 8


def test_signals_of_rounds_that_did_not_train_are_not_frozen() -> None:
    watcher = OutOfRange(None, GuardSettings())
    same = replace(alive(0), updates=0)
    assert [watcher.check(INSIDE, same) for _ in range(8)] == [None] * 8


def test_a_policy_out_of_its_range_is_replaced_by_the_fallback_and_counted() -> None:
    guard = Guard(base=BASE, training_range=TrainingRange.of({"lm": SEEN}))
    asked = replace(BASE.decision(), lr=8e-3, window=1)
    inside, outside = Seeing(INSIDE), Seeing(far())
    for k in range(12):
        assert guard.check(asked, alive(k), of=inside) == (asked, None)
    guard.check(asked, alive(12), of=outside)
    decision, reason = guard.check(asked, alive(13), of=outside)
    assert decision == BASE.decision()
    assert reason is not None
    assert guard.counts == {"range": 1}
    assert guard.check(asked, alive(14))[1] is None  # a rule has no features, and is not judged by them


def test_a_memory_of_the_fault_is_given_up_and_the_policy_trusted_again_once_it_has_settled() -> None:
    guard = Guard(
        base=BASE, training_range=TrainingRange.of({"lm": SEEN}), settings=GuardSettings(forget=4, leave=3)
    )
    asked, seeing = replace(BASE.decision(), lr=8e-3), Seeing(INSIDE)
    for k in range(12):
        guard.check(asked, alive(k), of=seeing)
    seeing.sees = far()  # and goes on to see it, as an average would for long, until told to forget
    replaced = []
    for k in range(12, 40):
        replaced.append(guard.check(asked, alive(k), of=seeing)[1] is not None)
        if seeing.forgotten:
            seeing.sees = INSIDE
    assert seeing.forgotten == 1
    # From the second round outside on: to the fourth, ten to settle, and three inside of which the last is free.
    assert replaced == [False, *[True] * (3 + 10 + 2), *[False] * 12]


def test_a_frozen_signal_is_no_reason_to_forget() -> None:
    watcher = watch(frozen=2, forget=2)
    for k in range(6):
        watcher.check(INSIDE, replace(alive(k + 10), grad_norm=0.7))
        assert not watcher.stale


def test_features_of_what_is_not_measured_may_be_zero() -> None:
    seen = TrainingRange.of({"lm": SEEN})
    some = INSIDE.copy()
    some[[FEATURE_NAMES.index(name) for name in WATCHED if name.startswith("grad")]] = 0.0
    trouble = seen.trouble(some)
    assert trouble is not None
    assert "are 0 at once" in trouble
    assert seen.trouble(some, missing=("grad_norm", "grad_snr", "grad_cos")) is None
    assert seen.trouble(some, missing=("loss",)) is not None


def test_saved_hysteresis_continues_the_same() -> None:
    one, other = watch(), watch()
    one.check(far(), alive(11))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for k in range(12, 20):
        assert other.check(far() if k == 12 else INSIDE, alive(k)) == one.check(
            far() if k == 12 else INSIDE, alive(k)
        )


def test_frozen_state_that_is_not_finite_is_saved_as_json() -> None:
    watcher = OutOfRange(None, GuardSettings())
    watcher.check(INSIDE, Signals(loss_nats=float("nan"), updates=3, lr=1e-3, batch_size=8, window=8))
    json.dumps(watcher.state_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("all zero", np.zeros(len(FEATURE_NAMES))),
        ("a hundredfold", SEEN[1] * 100),
        ("every feature at an edge it never reaches with the others", np.full(len(FEATURE_NAMES), 2.5)),
    ],
)
def test_faults_of_all_features_together_are_outside(name: str, given: NDArray[np.float64]) -> None:
    assert TrainingRange.of({"lm": SEEN}).trouble(given) is not None


def test_an_observation_that_is_not_a_number_is_outside() -> None:
    broken = INSIDE.copy()
    broken[FEATURE_NAMES.index("grad_cos")] = np.nan
    assert TrainingRange.of({"lm": SEEN}).trouble(broken) is not None


def test_at_most_one_round_in_a_hundred_of_new_data_like_training_is_outside() -> None:
    seen = TrainingRange.of({"lm": SEEN})
    new = np.random.default_rng(1).normal(size=(2000, len(FEATURE_NAMES)))
    assert np.mean([seen.trouble(x) is not None for x in new]) <= 0.01


def test_a_range_comes_back_from_json_and_judges_the_same() -> None:
    seen = TrainingRange.of({"lm": SEEN})
    back = TrainingRange.from_description(json.loads(json.dumps(seen.description())))
    for x in (INSIDE, far(), np.zeros(len(FEATURE_NAMES)), *SEEN[:50]):
        assert (back.trouble(x) is None) == (seen.trouble(x) is None)


def test_what_one_task_never_shows_is_outside_of_its_region_alone() -> None:
    column = FEATURE_NAMES.index("update_ratio")
    labels = SEEN.copy()
    labels[:, column] = 30.0 + 20.0 * SEEN[:, column]
    seen = TrainingRange.of({"lm": SEEN, "classify": labels})
    high = INSIDE.copy()
    high[column] = 30.0
    assert seen.trouble(high) is None
    assert seen.of_task("classify").trouble(high) is None
    assert seen.of_task("answer").trouble(high) is None  # was no part of training: all of it counts
    told = seen.of_task("lm").trouble(high)
    assert told is not None
    assert "update_ratio is 30" in told


def test_what_is_told_is_what_is_outside_of_the_nearest_region() -> None:
    away = SEEN + 100.0
    seen = TrainingRange.of({"lm": SEEN, "classify": away})
    near_text, near_labels = INSIDE.copy(), INSIDE + 100.0
    near_text[FEATURE_NAMES.index("grad_norm")] = near_labels[FEATURE_NAMES.index("loss_std")] = 300.0
    assert "grad_norm is 300" in str(seen.trouble(near_text))
    assert "loss_std is 300" in str(seen.trouble(near_labels))


def test_a_range_of_version_1_is_one_region_of_any_task() -> None:
    now = TrainingRange.of({"lm": SEEN}).description()
    before = {"version": 1, **{name: now[name] for name in ("features", "levels")}, **now["regions"]["lm"]}
    old, new = TrainingRange.from_description(before), TrainingRange.from_description(now)
    for x in (INSIDE, far(), np.zeros(len(FEATURE_NAMES)), *SEEN[:50]):
        assert old.of_task("classify").trouble(x) == new.trouble(x)
    assert old.description() == before  # so that a policy keeps its sha256
    assert (old.tasks, new.tasks) == ([], ["lm"])
    assert [old.covers("answer"), new.covers("lm"), new.covers("answer"), new.covers(None)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version 3"),
        ({"version": True}, "version True"),
        ({"version": 1}, "region of a training range must be an object with"),
        ({"features": ["x"]}, "features and levels"),
        ({"regions": {}}, "1 to 16 regions"),
        ({"regions": []}, "must have regions"),
        ({"more": 1}, "must have regions"),
    ],
)
def test_a_range_that_was_tampered_with_is_refused(change: dict[str, Any], message: str) -> None:
    description = TrainingRange.of({"lm": SEEN}).description()
    with pytest.raises(ValueError, match=message):
        TrainingRange.from_description({**description, **change})


@pytest.mark.parametrize("task", ["", "x" * 41, "a\nb"])
def test_a_region_goes_by_the_name_of_a_task(task: str) -> None:
    with pytest.raises(ValueError, match="by the names of their tasks"):
        TrainingRange.of({task: SEEN})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centre": [0.0]}, "centre must be"),
        ({"scale": [0.0] * len(WATCHED)}, "scale must be 1e-06 or more"),
        ({"scale": [1e-320] * len(WATCHED)}, "scale must be 1e-06 or more"),
        ({"centre": [1e308] * len(WATCHED)}, "1e\\+09 at most in size"),
        ({"precision": [[-1e308] * len(WATCHED)] * len(WATCHED)}, "1e\\+09 at most in size"),
        ({"distance": 0}, "distance above 0"),
        ({"precision": "x"}, "precision must be"),
        ({"distance": [1.0]}, "distance a number"),
        ({"distance": None}, "distance must be numbers"),
        ({"distance": 10**400}, "distance must be numbers"),
        ({"zeros": -1}, "zeros"),
        ({"more": 1}, "must be an object with .*task 'lm'"),
    ],
)
def test_a_region_that_was_tampered_with_is_refused(change: dict[str, Any], message: str) -> None:
    description = TrainingRange.of({"lm": SEEN}).description()
    regions = {"lm": {**description["regions"]["lm"], **change}}
    with pytest.raises(ValueError, match=message):
        TrainingRange.from_description({**description, "regions": regions})
