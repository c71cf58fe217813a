from importlib.util import find_spec

import numpy as np
import pytest

from olrl.agents.rivals.pb2 import PB2Settings, _numpy_seeded, proposal
from tests.agents.rivals.runs import BASE, run

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


def test_the_bounds_hold_on_the_scale_of_logarithms() -> None:
    trace = run("pb2", rounds=16, population=2, every=2, reach=4.0)
    assert all(BASE.lr / 4 * 0.999 <= lr <= BASE.lr * 4 * 1.001 for lr in trace.lr)


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
