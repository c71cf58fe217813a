"""Faults in the rounds of a real model under the policy that ships: `scripts/fault_study.py` in short."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from faults.bench import Bench, Course, Played, drift_rows, fault_row
from faults.fault import FAULTS

from olrl.control.policy import load_policy
from olrl.streams.chunk import Chunk

STREAM = 0  # abrupt, with switches after 18, 31 and 44 rounds
NEAR = 1.15  # times the undisturbed run's loss, a dozen rounds after the fault; without a guard it is 1.4 and more
LAYERS = {
    "nan": "loss_nonfinite",
    "ten nans": "loss_nonfinite",
    "spike": "loss_high",
    "weights": "rollback",
    "duplicates": "range",
    "rate": "slew",
    "far out": "range",
}


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A stream without a fault, with the guard and without it."""

    bench: Bench
    chunks: list[Chunk]
    guarded: Played
    free: Played


@cache
def undisturbed() -> Undisturbed:
    torch.set_num_threads(1)
    bench = Bench("pico", load_policy("default"), course=Course(rounds=50, start=20, inside=12))
    chunks = bench.chunks(STREAM)
    guarded, free = (bench.play(chunks, fault=None, guarded=guard, seed=STREAM) for guard in (True, False))
    return Undisturbed(bench=bench, chunks=chunks, guarded=guarded, free=free)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_leaves_finite_weights_a_loss_like_that_without_it_and_a_reason(name: str) -> None:
    calm = undisturbed()
    row = fault_row(calm.bench, calm.chunks, STREAM, name, calm.guarded, guarded=True)
    assert row["finite"]
    assert row["loss_at_end"] < NEAR
    assert row["reason"]
    assert row["layers"].get(LAYERS[name])


@pytest.mark.parametrize("name", ["weights", "rate"])
def test_the_same_fault_does_harm_where_no_guard_is(name: str) -> None:
    calm = undisturbed()
    row = fault_row(calm.bench, calm.chunks, STREAM, name, calm.free, guarded=False)
    assert row["loss_at_end"] > NEAR
    assert row["finite"] == (name == "rate")


def test_the_guard_lets_a_learner_follow_real_drift() -> None:
    calm = undisturbed()
    whole, *switches = drift_rows(calm.chunks, STREAM, calm.guarded, calm.free)
    losses = calm.guarded.losses
    risen = [losses[row["switch"] :][:3].mean() / losses[: row["switch"]][-3:].mean() for row in switches]
    assert len(switches) == 3
    assert np.max(risen) > 1.05  # there was something to follow
    assert not {"loss_high", "rollback", "holding"} & set(whole["layers"])
    assert all(row["guarded_over_unguarded"] < 1.02 for row in switches)
