from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from olrl.agents.evaluation.jobs import task_of
from olrl.agents.rivals.constants import constants_around
from olrl.agents.rivals.held import Held
from olrl.agents.rivals.pb2 import PB2Settings, _loss, _Member, _numpy_seeded, _Population, proposal
from tests.agents.rivals.runs import BASE, job, run

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("sklearn") is None, reason="the extra ray is not installed"
)
NAMES = ("lr", "batch_size", "window", "weight_decay")


def test_all_learners_but_the_one_shown_are_charged() -> None:
    trace, base = run("pb2", rounds=6, population=3, every=3), run("base", rounds=6)
    assert len(trace.loss_bpb) == 6
    assert trace.loss_bpb[:3] == base.loss_bpb[:3]  # at first the base is shown
    assert trace.shadow_examples > 0
    assert trace.trial_examples == 0
    assert trace.signal_examples >= base.signal_examples + 2 * 6 * 16  # what two others have scored
    assert trace.total_spent > 2 * sum(trace.spent)


def population(size: int, *, reach: float) -> tuple[_Population, Held]:
    task = task_of(job("pb2", rounds=12), judged=False)
    held = Held(base=BASE)
    space = constants_around(BASE, reach=reach)
    return _Population(task.rollout(base=BASE), space, BASE, size, seed=0), held


def weights(member: _Member) -> bytes:
    values: bytes = np.asarray(member.run["loop"]["learner"]["values"]).tobytes()
    return values


def test_the_worst_goes_on_with_the_weights_of_the_best_under_another_rate_within_bounds() -> None:
    learners, held = population(3, reach=4.0)
    members = learners._members
    rates = {member.base.lr for member in members}
    for _ in range(3):  # from the second time on it is the bandit that chooses
        assert learners.play(held, 2, [])
        ranked = sorted(members, key=_loss)
        best, middle, worst = ranked
        before = [(weights(member), member.base) for member in ranked]
        assert len({values for values, _ in before}) == 3
        learners.exploit()
        assert weights(worst) == before[0][0]
        assert worst.run["loop"]["learner"] is best.run["loop"]["learner"]  # its moments too
        assert worst.base not in (before[0][1], before[2][1])
        assert [(weights(member), member.base) for member in (best, middle)] == before[:2]
        rates |= {member.base.lr for member in members}
    assert len(rates) > 4
    assert all(BASE.lr / 4 * 0.999 <= rate <= BASE.lr * 4 * 1.001 for rate in rates)


def test_a_learner_that_was_copied_goes_on_by_itself() -> None:
    learners, held = population(2, reach=4.0)
    learners.play(held, 2, [])
    learners.exploit()
    some, other = learners._members
    assert weights(some) == weights(other)
    learners.play(held, 2, [])
    assert weights(some) != weights(other)


def test_from_a_rate_that_is_far_too_low_it_moves_and_the_bounds_hold_on_the_scale_of_logarithms() -> None:
    low = replace(BASE, lr=BASE.lr / 100)
    trace = run("pb2", base=low, rounds=12, population=3, every=2, reach=32.0)
    assert trace.lr[:2] == (low.lr,) * 2
    assert len(set(trace.lr)) > 1
    assert max(trace.lr) > 2 * low.lr
    assert all(low.lr / 32 * 0.999 <= lr <= low.lr * 32 * 1.001 for lr in trace.lr)


def test_a_setting_called_lr_does_not_crash_it_and_it_goes_where_losses_fell() -> None:
    """Ray's own example of a crash (ray#42180) tunes `lr`; here names are only names."""
    rng = np.random.default_rng(0)
    places = rng.random((40, 4))
    gain = 1.0 - 4 * (places[:, 0] - 0.8) ** 2
    known = np.column_stack([np.arange(40.0), -gain, places])
    with _numpy_seeded(0):
        points = [proposal(known, gain, np.array([40.0, -1.0]), None, names=NAMES) for _ in range(3)]
    assert all(point.shape == (4,) and (point >= 0).all() and (point <= 1).all() for point in points)
    assert all(abs(point[0] - 0.8) < 0.2 for point in points)


@pytest.mark.parametrize("settings", [{"population": 1}, {"every": 1}, {"reach": 1.0}])
def test_settings_that_make_no_population_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        PB2Settings(**settings)  # type: ignore[arg-type]
