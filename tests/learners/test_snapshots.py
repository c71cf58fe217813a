from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.snapshots import Snapshots


class Counting(Learner):
    """A learner that is a number."""

    def __init__(self, value: int) -> None:
        self.value = value

    def score(self, examples: Examples) -> NDArray[np.float64]:
        raise AssertionError("not asked")

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        raise AssertionError("not asked")

    def state_dict(self) -> dict[str, NDArray[Any]]:
        return {"values": np.array([self.value], dtype=np.float32)}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        self.value = int(state["values"][0])


def kept(snapshots: Snapshots) -> list[int]:
    state = snapshots.state_dict()
    return [int(state[f"{k}/values"][0]) for k in range(len(snapshots))]


def test_the_newest_are_kept_at_their_distance_the_first_at_once() -> None:
    snapshots = Snapshots(size=3, every=5)
    for k in range(22):
        snapshots.good(Counting(k))
        if k == 0:
            assert kept(snapshots) == [0]
    assert kept(snapshots) == [10, 15, 20]


@pytest.mark.parametrize(("place", "value", "left"), [(-1, 4, [2, 3, 4]), (1, 3, [2, 3]), (-3, 2, [2])])
def test_restoring_gives_up_what_is_newer(place: int, value: int, left: list[int]) -> None:
    snapshots, learner = Snapshots(size=3, every=1), Counting(99)
    for k in range(5):
        snapshots.good(Counting(k))
    snapshots.restore(learner, place)
    assert (learner.value, kept(snapshots)) == (value, left)


def test_a_ring_goes_through_safetensors_and_continues_the_same() -> None:
    snapshots = Snapshots(size=3, every=2)
    for k in range(6):
        snapshots.good(Counting(k))
    loaded = Snapshots(size=3, every=2)
    loaded.load_state_dict(safetensors.numpy.load(safetensors.numpy.save(snapshots.state_dict())))
    for ring in (snapshots, loaded):
        ring.good(Counting(6))
        ring.restore(Counting(0))
    assert kept(loaded) == kept(snapshots) == [2, 4, 6]


def test_a_ring_of_none_keeps_none() -> None:
    snapshots = Snapshots(size=0, every=1)
    snapshots.good(Counting(1))
    assert (len(snapshots), snapshots.states) == (0, [])
    with pytest.raises(ValueError, match="no good state"):
        snapshots.restore(Counting(1))
