"""Rounds in groups, for entrants that decide once in several of them."""

from olrl.control.controller import Controller

from ..evaluation.play import Rollout


def play_rounds(rollout: Rollout, controller: Controller, rounds: int) -> bool:
    """Play so many rounds; whether there were as many."""
    return all(rollout.round(controller) for _ in range(rounds))


def mean_loss(rollout: Rollout, first: int) -> float:
    """Loss of the rounds after `first`, whose own no decision in them has changed; bits a byte, mean over bytes."""
    losses = rollout.losses(first + 1)
    return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
