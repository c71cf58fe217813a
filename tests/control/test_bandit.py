from collections import Counter

import pytest

from olrl.control.bandit import Bandit, BanditSettings
from olrl.monitor.signals import Signals
from tests.control.rounds import BASE


def play(settings: BanditSettings, *, best: float, rounds: int = 900) -> list[float]:
    """Factors chosen on a loss that is low under one rate, from the round after it was chosen on."""
    controller, lr, factors = Bandit(base=BASE, settings=settings), BASE.lr, []
    for _ in range(rounds):
        loss = 1.8 if lr == BASE.lr * best else 2.0
        lr = controller.decide(Signals(loss_nats=loss, lr=lr, batch_size=8, window=8)).lr
        factors.append(lr / BASE.lr)
    return factors


@pytest.mark.parametrize("best", [0.25, 4.0])
def test_it_finds_the_arm_that_pays(best: float) -> None:
    factors = play(BanditSettings(hold=1, explore=0.2), best=best)
    assert Counter(factors[-300:]).most_common(1)[0][0] == best


def test_a_pull_lasts_as_long_as_it_should_and_is_judged_by_losses_it_could_change() -> None:
    factors = play(BanditSettings(hold=3), best=1.0, rounds=60)
    assert all(len(set(factors[k : k + 3])) == 1 for k in range(0, 60, 3))
    controller = Bandit(base=BASE, settings=BanditSettings(hold=1))
    start = list(controller.state_dict()["weights"])
    controller.decide(Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8))
    assert controller.state_dict()["weights"] == start  # the first loss came before any arm


def test_arms_with_windows_use_every_window() -> None:
    controller = Bandit(base=BASE, settings=BanditSettings(windows=True, hold=1))
    signals = Signals(loss_nats=2.0, lr=1e-3, batch_size=8, window=8)
    assert {controller.decide(signals).window for _ in range(100)} == {1, 8, 0}


def test_another_seed_pulls_otherwise() -> None:
    one, other = (play(BanditSettings(seed=seed), best=1.0, rounds=60) for seed in (0, 1))
    assert one != other
