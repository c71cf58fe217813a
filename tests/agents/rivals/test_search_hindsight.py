import pytest

from olrl.agents.rivals.search_hindsight import charged
from tests.agents.rivals.runs import run, shown


@pytest.mark.parametrize("trials", [1, 5])
def test_it_is_never_worse_than_its_first_trial_the_tuned_constant(trials: int) -> None:
    fixed = run("fixed", rounds=10)
    found = run("search-hindsight", rounds=10, trials=trials)
    assert found.mean_loss_bpb <= fixed.mean_loss_bpb
    if trials == 1:
        assert shown(found) == shown(fixed)
    assert len({*zip(found.lr, found.batch_size, found.window, strict=True)}) == 1  # a constant


def test_more_trials_go_on_from_the_fewer_and_cost_more() -> None:
    few, many = (run("search-hindsight", trials=trials) for trials in (3, 6))
    assert many.mean_loss_bpb <= few.mean_loss_bpb
    assert many.trial_examples > few.trial_examples > 0
    assert many.extra_spent > few.extra_spent > 0


def test_the_best_is_shown_and_all_others_are_charged() -> None:
    one, other = run("fixed"), run("base")
    both = charged([one, other], scored=96)
    best, worse = sorted((one, other), key=lambda trace: trace.mean_loss_bpb)
    assert both.loss_bpb == best.loss_bpb
    assert both.trial_examples == worse.examples
    assert both.total_spent == sum(one.spent) + sum(other.spent)
    assert both.signal_examples == one.signal_examples + other.signal_examples + 96
    assert both.seconds == one.seconds + other.seconds
