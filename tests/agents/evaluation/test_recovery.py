from collections.abc import Sequence

import pytest

from olrl.agents.evaluation.play import Trace
from olrl.agents.evaluation.recovery import recoveries, recovery_bytes, updated_share


def trace_of(loss: Sequence[float], segment: Sequence[int], updates: Sequence[int] | None = None) -> Trace:
    n = len(loss)
    done = tuple(updates or [1] * n)
    return Trace(
        loss_bpb=tuple(loss),
        n_bytes=(100,) * n,
        lr=(1e-3,) * n,
        batch_size=(2,) * n,
        window=(1,) * n,
        update=tuple(u > 0 for u in done),
        updates=done,
        spent=(6.0,) * n,
        alarms=((),) * n,
        guard=(None,) * n,
        source=("text",) * n,
        segment=tuple(segment),
        signal_examples=0,
        seconds=0.0,
        diverged=False,
    )


def test_recovery_is_counted_from_the_change_to_three_rounds_near_the_floor() -> None:
    after = [5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]  # the last third is 2.0
    [found] = recoveries(trace_of([1.0] * 6 + after, [0] * 6 + [1] * 9))
    assert (found.round, found.floor_bpb) == (6, 2.0)
    assert found.n_bytes == 600  # rounds 3, 4 and 5 after the change are the first three in a row


def test_one_easy_chunk_is_no_recovery() -> None:
    after = [5.0, 2.0, 5.0, 5.0, 5.0, 2.0, 2.0, 2.0, 2.0]
    [found] = recoveries(trace_of([1.0] * 6 + after, [0] * 6 + [1] * 9))
    assert found.n_bytes == 800


def test_the_first_segment_and_stubs_are_no_changes_to_recover_from() -> None:
    assert recoveries(trace_of([1.0] * 10, [0] * 10)) == []
    assert recovery_bytes(trace_of([1.0] * 12, [0] * 8 + [1] * 4)) is None


def test_the_share_updated_counts_what_was_done_and_not_what_was_decided() -> None:
    assert updated_share(trace_of([1.0] * 4, [0] * 4, updates=[0, 3, 0, 1])) == pytest.approx(0.5)
