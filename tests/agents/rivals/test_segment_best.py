from itertools import pairwise
from typing import Any

import pytest

from olrl.agents.evaluation import jobs
from olrl.agents.evaluation.play import Trace, play
from olrl.agents.rivals.replay import Replay
from olrl.agents.rivals.segment_best import segment_lengths
from olrl.assembly import LoopConfig
from olrl.control.decision import Decision
from tests.agents.rivals.runs import FIXED, STREAM, job, run

ROUNDS = 14


@pytest.fixture(scope="module")
def best() -> Trace:
    return run("segment-best", rounds=ROUNDS, most=8)


def test_a_segment_has_one_configuration_and_segments_have_several(best: Trace) -> None:
    changes = {k for k, (a, b) in enumerate(pairwise(best.segment), start=1) if a != b}
    decisions = list(zip(best.lr, best.batch_size, best.window, strict=True))
    moved = {k for k, (a, b) in enumerate(pairwise(decisions), start=1) if a != b}
    assert moved <= changes
    assert len(changes) >= 2
    assert moved


def test_played_afresh_its_decisions_give_the_same_losses_to_the_bit(best: Trace) -> None:
    """So that nothing of a trial that was undone is left in learner, memory, monitor or guard."""
    decisions = [
        Decision(lr=lr, batch_size=size, window=window)
        for lr, size, window in zip(best.lr, best.batch_size, best.window, strict=True)
    ]
    config = LoopConfig()
    chunks = jobs._chunks(STREAM, "femto", "cpu", config, ROUNDS)
    learner = jobs._pool(jobs.LANGUAGE, "femto", "cpu", config.seq_len).fresh()
    again = play(Replay(decisions, base=FIXED), chunks, learner, base=FIXED, config=config)
    assert again.loss_bpb == best.loss_bpb
    assert again.alarms == best.alarms


def test_a_segment_goes_better_than_with_the_configuration_that_the_search_starts_from(best: Trace) -> None:
    fixed = run("fixed", rounds=ROUNDS)
    first = segment_lengths(jobs._chunks(STREAM, "femto", "cpu", LoopConfig(), ROUNDS))[0]
    assert first > 2
    assert sum(best.loss_bpb[1:first]) < sum(fixed.loss_bpb[1:first])  # from the same start, up to there


def test_all_plays_are_charged(best: Trace) -> None:
    assert best.trial_examples > best.examples
    assert best.extra_spent > sum(best.spent)
    assert best.total_spent == sum(best.spent) + best.extra_spent
    assert best.signal_examples > run("fixed", rounds=ROUNDS).signal_examples


def test_a_budget_of_one_play_is_the_tuned_constant() -> None:
    one, fixed = run("segment-best", most=1), run("fixed")
    assert one.loss_bpb == fixed.loss_bpb
    assert one.trial_examples > 0


def test_segments_are_counted_by_true_change_points() -> None:
    class Chunk:
        def __init__(self, segment: int) -> None:
            self.segment = segment

    chunks: Any = [Chunk(segment) for segment in (0, 0, 1, 3, 3, 3)]
    assert segment_lengths(chunks) == [2, 1, 3]
    assert job("segment-best").settings is None
