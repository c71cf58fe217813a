"""Which text features are chosen, and when they are chosen anew."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from river.stats import PearsonCorr

from olrl.monitor.text_selection import Associations, SelectionSettings, TextSelection
from olrl.streams.text_features import BUCKETS, TextHasher

PLANTED, NEXT = "zebra", "yak"


def documents(
    rng: np.random.Generator, sign: str, n: int = 16
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Texts of chance words, in which `sign` stands where the class is 1."""
    classes = rng.integers(0, 2, n)
    words = [f"word{rng.integers(60)} word{rng.integers(60)}{f' {sign}' * int(c)}" for c in classes]
    return TextHasher().bits(words), classes


def bucket(word: str) -> int:
    """The one of the word itself."""
    alone, longer = TextHasher().bits([word, f"{word}s"])
    return int((alone & ~longer).nonzero()[0][0])


def play(selection: TextSelection, sign: str, *, rounds: int, seed: int, alarm: bool = False) -> list[str]:
    rng, reasons = np.random.default_rng(seed), []
    for k in range(rounds):
        bits, classes = documents(rng, sign)
        alarms = ("adwin",) if alarm and k == 0 else ()
        found = selection.round_ended(bits, classes, accuracy=0.7, alarms=alarms)
        reasons += [found.reason] if found is not None else []
    return reasons


def test_without_forgetting_the_correlations_are_rivers() -> None:
    rng = np.random.default_rng(3)
    bits, classes = rng.random((60, 12)) < rng.random(12), rng.integers(0, 3, 60)
    found = Associations(n_classes=3, n_features=12)
    for k in range(0, 60, 15):
        found.learn(bits[k : k + 15], classes[k : k + 15])
    for c in range(3):
        for feature in range(12):
            river = PearsonCorr()
            for present, label in zip(bits[:, feature], classes, strict=True):
                river.update(float(present), float(label == c))
            assert found.correlations()[c, feature] == pytest.approx(river.get(), abs=1e-9)


def test_what_is_always_there_or_never_is_no_sign_of_anything() -> None:
    found = Associations(n_classes=2, n_features=2, horizon=50)
    found.learn(np.array([[True, False]] * 4), np.array([0, 1, 0, 1]))
    assert not found.correlations().any()
    assert not found.strongest(2, chance=0.0)[found.correlations().any(axis=0)].any()


@pytest.mark.parametrize("alarm", [True, False])
def test_a_planted_word_is_found_and_given_up_after_the_labels_have_drifted(alarm: bool) -> None:
    selection = TextSelection(most=4, n_classes=2)
    play(selection, PLANTED, rounds=40, seed=1)
    assert selection.chosen[bucket(PLANTED)]
    assert not selection.chosen[bucket(NEXT)]
    reasons = play(selection, NEXT, rounds=30 if alarm else 130, seed=2, alarm=alarm)
    assert ("drift alarm" in reasons) == alarm
    assert selection.chosen[bucket(NEXT)]
    assert alarm or not selection.chosen[bucket(PLANTED)]
    assert selection.chosen.sum() <= 4


def test_chance_alone_lets_few_features_through() -> None:
    selection = TextSelection(most=BUCKETS, n_classes=2)
    rng = np.random.default_rng(5)
    for _ in range(30):
        selection.round_ended(
            rng.random((16, BUCKETS)) < 0.1, rng.integers(0, 2, 16), accuracy=0.5, alarms=()
        )
    assert selection.chosen.sum() < 0.01 * BUCKETS


def test_a_fall_of_the_accuracy_is_a_reason_and_noise_is_none() -> None:
    rng, selection = np.random.default_rng(0), TextSelection(most=4, n_classes=2)
    reasons = []
    for k in range(120):
        bits, classes = documents(rng, PLANTED)
        accuracy = float(rng.binomial(16, 0.8 if k < 100 else 0.4) / 16)
        found = selection.round_ended(bits, classes, accuracy=accuracy, alarms=())
        reasons += [(k, found.reason)] if found is not None else []
    fell = [k for k, reason in reasons if reason == "accuracy fell"]
    assert len(fell) == 1
    assert 101 <= fell[0] <= 110


def test_alarms_in_a_row_make_no_selection_each() -> None:
    selection = TextSelection(most=4, n_classes=2)
    rng, count = np.random.default_rng(0), 0
    for _ in range(52):
        found = selection.round_ended(*documents(rng, PLANTED), accuracy=0.5, alarms=("adwin",))
        count += found is not None
    assert count <= 2 + 50 // SelectionSettings().gap


def test_one_that_chooses_once_does_so_and_never_again() -> None:
    selection = TextSelection(most=4, n_classes=2, settings=SelectionSettings(period=None, first=8))
    assert play(selection, PLANTED, rounds=8, seed=1) == ["period"]
    assert play(selection, NEXT, rounds=80, seed=2, alarm=True) == []


def test_it_goes_on_from_its_state_to_the_bit() -> None:
    straight, other = (TextSelection(most=4, n_classes=2) for _ in range(2))
    play(straight, PLANTED, rounds=21, seed=1)
    state: dict[str, Any] = straight.state_dict()
    other.load_state_dict(state)
    assert play(straight, NEXT, rounds=40, seed=2, alarm=True) == play(
        other, NEXT, rounds=40, seed=2, alarm=True
    )
    np.testing.assert_array_equal(straight.chosen, other.chosen)
    np.testing.assert_array_equal(straight.state_dict()["present"], other.state_dict()["present"])
    with pytest.raises(ValueError, match="other features or classes"):
        TextSelection(most=4, n_classes=3).load_state_dict(state)


def test_the_horizon_may_be_endless() -> None:
    found = Associations(n_classes=2, n_features=1, horizon=math.inf)
    for _ in range(3):
        found.learn(np.array([[True]]), np.array([1]))
    assert found.documents.tolist() == [0.0, 3.0]
