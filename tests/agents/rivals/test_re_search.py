import pytest

from olrl.agents.rivals.re_search import ReSearchSettings
from tests.agents.rivals.runs import BASE, run


def test_trials_leave_no_trace_in_the_learner_until_their_best_is_in_force() -> None:
    trace, base = run("re-search", rounds=9, every=4, past=3, trials=3), run("base", rounds=9)
    assert trace.loss_bpb[:5] == base.loss_bpb[:5]  # the decision of round 4 shows in the loss of round 5
    assert trace.spent[:4] == base.spent[:4]
    assert trace.lr[:4] == (BASE.lr,) * 4
    assert len(set(trace.lr[4:8])) == 1


def test_all_that_trials_train_and_score_is_charged() -> None:
    trace, base = run("re-search", rounds=9, every=4, past=3, trials=3), run("base", rounds=9)
    rounds = 2 * 3 * 3  # two searches, three trials each, three rounds each
    assert trace.trial_examples == 0
    assert trace.shadow_examples > 0
    assert (
        trace.extra_spent >= rounds * 40
    )  # a round spends 56 to 68 of its 64 units, but for single steps of 64
    assert trace.signal_examples >= base.signal_examples + rounds * 16


def test_what_is_in_force_stays_where_no_trial_beats_it() -> None:
    """With trials within a hair of the base's rate, a search finds nothing much; with a base far off it does."""
    near = run("re-search", rounds=6, every=3, past=2, trials=1, reach=1.0001, sampler="random")
    far = run("re-search", rounds=6, every=3, past=2, trials=8, base=BASE.__class__(lr=1e-6))
    assert max(near.lr) / min(near.lr) < 1.001
    assert far.lr[-1] != far.lr[0]


@pytest.mark.parametrize("settings", [{"past": 1}, {"past": 9, "every": 8}, {"trials": 0}, {"sampler": "x"}])
def test_settings_that_make_no_search_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        ReSearchSettings(**settings)  # type: ignore[arg-type]
