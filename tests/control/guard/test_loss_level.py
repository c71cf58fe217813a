import json
import random

from olrl.control.guard import GuardSettings
from olrl.control.guard.loss_level import LossLevel


def settled(loss: float = 2.0, rounds: int = 20) -> LossLevel:
    level, luck = LossLevel(GuardSettings()), random.Random(0)
    for _ in range(rounds):
        assert level.check(loss + luck.gauss(0, 0.05)) == "usual"
    return level


def test_one_outlier_costs_one_round_and_leaves_the_level_as_it_was() -> None:
    level = settled()
    before = level.usual
    verdicts = [level.check(loss) for loss in (200.0, 2.0, 2.0)]
    assert verdicts == ["high", "usual", "usual"]
    assert before is not None
    assert level.usual is not None
    assert abs(level.usual - before) < 0.05


def test_a_new_level_is_accepted_with_the_third_rejection_not_after_many() -> None:
    level = settled()
    assert [level.check(4.0) for _ in range(5)] == ["high", "high", "new level", "usual", "usual"]
    assert level.usual == 4.0


def test_outliers_that_do_not_follow_each_other_never_become_the_level() -> None:
    level = settled()
    assert [level.check(loss) for loss in (9.0, 9.0, 2.0) * 5].count("new level") == 0


def test_noisy_losses_are_not_rejected_for_being_above_the_median_by_a_fifth() -> None:
    level, luck = LossLevel(GuardSettings()), random.Random(1)
    for _ in range(20):
        level.check(luck.choice([1.0, 1.4, 1.9, 2.6]))
    assert level.check(3.0) == "usual"  # 1.15 times the median is below 2.2


def test_a_saved_latch_goes_on_counting() -> None:
    level, other = settled(), LossLevel(GuardSettings())
    level.check(9.0)
    other.load_state_dict(json.loads(json.dumps(level.state_dict())))
    assert [other.check(9.0), other.check(9.0)] == ["high", "new level"]
