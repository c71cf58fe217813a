"""Schedules that know the horizon, against the libraries that have them."""

import pytest
import torch
from transformers import get_wsd_schedule

from olrl.agents.rivals.cosine import Cosine, CosineSettings
from olrl.agents.rivals.wsd import WSD, WSDSettings
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.monitor.signals import Signals
from tests.agents.rivals.runs import run

BASE = Base(lr=1.0)


def rates(controller: Controller, rounds: int) -> list[float]:
    signals = Signals(lr=1.0, batch_size=8, window=8)
    return [controller.decide(signals).lr for _ in range(rounds)]


def of_torch(make: object, rounds: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE.lr)
    schedule = make(optimizer)  # type: ignore[operator] # a maker of schedules
    seen = []
    for _ in range(rounds):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_cosine_is_torchs() -> None:
    theirs = of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=40, eta_min=0.1), 40)
    assert rates(Cosine(base=BASE, rounds=40, settings=CosineSettings(end=0.1)), 40) == pytest.approx(theirs)


def test_wsd_is_that_of_transformers() -> None:
    def theirs(optimizer: torch.optim.Optimizer) -> object:
        return get_wsd_schedule(
            optimizer,
            num_warmup_steps=10,
            num_decay_steps=40,
            num_training_steps=100,
            decay_type="linear",
            min_lr_ratio=0.1,
        )

    mine = WSD(base=BASE, rounds=100, settings=WSDSettings(warmup=0.1, decay=0.4, end=0.1))
    assert rates(mine, 100) == pytest.approx(of_torch(theirs, 100))


@pytest.mark.parametrize("name", ["cosine", "wsd"])
def test_the_horizon_is_that_of_the_run(name: str) -> None:
    short, long = run(name, rounds=10), run(name, rounds=20)
    assert short.lr[-1] < short.lr[4]
    assert short.lr[-1] < long.lr[9]
