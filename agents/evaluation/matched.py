"""Entrants that skip rounds, set to train in as many of them as a policy did."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from olrl.control.skip_random import share_that_trains

from .compare import CompareConfig, Outcome, compare
from .recovery import updated_share

DETECTOR = "skip-detector"
MOST_ROUNDS = 64  # that a detector trains after a change
# How far the loss of a chunk must lie above the mean: at 5 % a detector trains on the noise of nano's chunks (half
# of the rounds of `quiet` with 2 rounds after each rise, on three streams), at 15 % on what is left of it.
RISE = 0.15


def trained_share(outcome: Outcome, name: str) -> float:
    """Mean share of rounds in which an entrant was updated, over all its runs; ValueError without any."""
    shares = [updated_share(trace) for job, trace in outcome.runs if job.entrant == name]
    if not shares:
        raise ValueError(f"{name!r} did not run: there is no share of rounds to match")
    return float(np.mean(shares))


def matched_config(
    outcome: Outcome, names: tuple[str, ...], *, cache: Path, to: str = "policy"
) -> CompareConfig:
    """The comparison of `names` on the same streams, at the share of rounds that the entrant `to` was trained in.

    `skip-periodic` is told the share, `skip-random` one at which its draws come to as many rounds. What a detector
    will train cannot be told beforehand: how many rounds it trains after a change is chosen, with hindsight, such
    that its share on these very streams is nearest. Their losses have no part in it.
    """
    config = outcome.config
    share = max(trained_share(outcome, to), 1 / config.rounds)
    settings: list[tuple[str, str, Any]] = []
    for name in names:
        if name == DETECTOR:
            settings.append((name, "rounds", detector_rounds(share, config, cache=cache)))
            settings.append((name, "rise", RISE))
        elif name == "skip-random":
            count = round(share * config.rounds)
            drawn = share_that_trains(count, rounds=config.rounds, seed=config.seed)
            settings.append((name, "share", drawn))
        else:
            settings.append((name, "share", share))
    return replace(config, controllers=names, settings=tuple(settings))


def detector_rounds(share: float, config: CompareConfig, *, cache: Path) -> int:
    """Rounds to train after a change, by bisection on the streams of `config`."""

    def trained(rounds: int) -> float:
        tried = replace(
            config,
            controllers=(DETECTOR,),
            settings=((DETECTOR, "rounds", rounds), (DETECTOR, "rise", RISE)),
        )
        return trained_share(compare(tried, cache=cache), DETECTOR)

    return nearest(trained, share, most=min(MOST_ROUNDS, config.rounds))


def nearest(trained: Callable[[int], float], share: float, *, most: int) -> int:
    """The whole number from 1 to `most` at which a share that rises with it is nearest to the one wanted.

    >>> nearest(lambda rounds: rounds / 100, 0.3, most=64), nearest(lambda rounds: 0.5, 0.3, most=64)
    (30, 1)
    """
    low, high = 1, most
    found = {low: trained(low)}
    while low < high:
        middle = (low + high) // 2
        found[middle] = trained(middle)
        low, high = (middle + 1, high) if found[middle] < share else (low, middle)
    found.setdefault(low, trained(low))
    return min(found, key=lambda rounds: (abs(found[rounds] - share), rounds))
