import pytest

from olrl.agents.rivals.lookahead import lowest
from tests.agents.rivals.runs import BASE, run


def test_a_rate_is_held_between_choices_and_moves_within_reach_of_the_last() -> None:
    trace = run("lookahead", rounds=12, every=4, reach=2.0, tries=1)
    groups = [set(trace.lr[k : k + 4]) for k in (0, 4, 8)]
    assert [len(group) for group in groups] == [1, 1, 1]
    first, second, third = (group.pop() for group in groups)
    assert first == BASE.lr
    assert all(0.249 <= b / a <= 4.01 for a, b in ((first, second), (second, third)))


def test_shadows_leave_no_trace_in_the_learner() -> None:
    """Until the first choice takes effect, nothing differs from the base."""
    trace, base = run("lookahead", rounds=6, every=4), run("base", rounds=6)
    assert trace.loss_bpb[:5] == base.loss_bpb[:5]
    assert trace.spent[:4] == base.spent[:4]


def test_shadows_are_charged_to_the_example() -> None:
    trace, base = run("lookahead", rounds=7, every=3, tries=2), run("base", rounds=7)
    rounds = 2 * 4 * 3  # two choices, four shadows each, three rounds each
    assert trace.shadow_examples == rounds * base.updates[0] * base.batch_size[0]
    assert trace.extra_spent == rounds * base.spent[0]
    assert trace.trial_examples == 0
    assert trace.signal_examples > base.signal_examples + rounds * 16


@pytest.mark.parametrize(
    ("losses", "place"),
    [
        ({-2.0: 5.0, 0.0: 2.0, 2.0: 1.0}, 2.0),  # the bottom lies beyond what was tried
        ({-2.0: 1.0, 0.0: 1.0, 2.0: 1.0}, 0.0),  # none is better: stay
        ({-1.0: 2.0, 0.0: 1.0, 1.0: 1.0}, 0.5),
        ({-2.0: 9.0, -1.0: 2.0, 0.0: 1.0, 1.0: 2.0, 2.0: 50.0}, 0.0),
    ],
)
def test_the_bottom_is_looked_for_near_the_best_and_never_beyond(
    losses: dict[float, float], place: float
) -> None:
    assert lowest(losses) == pytest.approx(place)
