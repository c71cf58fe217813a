"""Every few rounds, shadow learners try several rates on what has just been seen."""

import math
from dataclasses import dataclass, replace

import numpy as np

from olrl.control.decision import MAX_LR_NOTCHES

from ..evaluation.play import Trace
from .entrant import Conditions, Entrant, Task
from .groups import mean_loss, play_rounds
from .held import Held
from .space import Choice


@dataclass(frozen=True, kw_only=True)
class LookaheadSettings:
    """How often shadows are sent out, and how far.

    every: rounds between two choices, and what a shadow replays, at least 2.
    reach: notches (factors of two) that the rates tried lie at most from the one in force, above 0, at most 6.
    tries: shadows on each side of the rate in force, at least 1.
    """

    every: int = 8
    reach: float = 2.0
    tries: int = 2

    def __post_init__(self) -> None:
        if self.every < 2 or self.tries < 1:
            raise ValueError(
                f"every must be at least 2 and tries at least 1, not {self.every!r} and {self.tries!r}"
            )
        if not 0 < self.reach <= MAX_LR_NOTCHES:
            raise ValueError(f"reach must be above 0 and at most 6, not {self.reach!r}")

    @property
    def steps(self) -> list[float]:
        """The notches tried beside the rate in force, 0 left out."""
        one_side = [self.reach * (k + 1) / self.tries for k in range(self.tries)]
        return [-step for step in reversed(one_side)] + one_side


class Lookahead(Entrant):
    """A rate chosen every K rounds by what it would have done to the last K, as AutoLRS does to the next ones.

    Jin et al., 2021, "AutoLRS: automatic learning-rate schedule by Bayesian optimization on the fly". From a
    copy of the learner of K rounds ago, shadow learners play the last K rounds again, each at another rate; a
    parabola through their mean losses over the logarithm of the rate gives the rate of the next K. Where AutoLRS
    runs on a fixed set and so may try the future, a stream's can only be the past. What the shadows train and
    score is charged.
    """

    def controller(self, given: Conditions) -> Held:
        """The base at first."""
        LookaheadSettings(**given.settings)
        return Held(base=given.base)

    def play(self, task: Task) -> Trace:
        """Rounds in groups of K, each played at all rates but the first."""
        settings = LookaheadSettings(**task.given.settings)
        held = self.controller(task.given)
        rollout = task.rollout(base=task.given.base)
        while True:
            start, first = rollout.snapshot(), rollout.rounds
            if not play_rounds(rollout, held, settings.every):
                return rollout.trace()
            now, lr = rollout.snapshot(), held.decision.lr
            losses = {0.0: mean_loss(rollout, first)}
            for step in settings.steps:
                rollout.restore(start)
                held.decision = replace(held.decision, lr=lr * 2.0**step)
                play_rounds(rollout, held, settings.every)
                rollout.charge(first, trial=False)
                losses[step] = mean_loss(rollout, first)
            rollout.restore(now)
            notches = math.log2(lr / task.given.base.lr) + lowest(losses)
            bounded = min(max(notches, -MAX_LR_NOTCHES), MAX_LR_NOTCHES)
            held.decision = replace(held.decision, lr=task.given.base.lr * 2.0**bounded)


def lowest(losses: dict[float, float]) -> float:
    """Where a parabola through losses by place is lowest, within them; the best place if it has no bottom.

    >>> lowest({-2.0: 3.0, 0.0: 1.0, 2.0: 3.0}), lowest({-1.0: 1.0, 0.0: 1.5, 1.0: 1.2})
    (0.0, -1.0)
    """
    places = sorted(losses)
    best = min(places, key=lambda place: (losses[place], abs(place)))
    # Only near the best: far away a loss rises in no parabola.
    near = sorted(places, key=lambda place: abs(place - best))[:3]
    a, b, _ = np.polyfit(near, [losses[place] for place in near], 2)
    if not a > 1e-12:
        return best
    return float(round(min(max(-b / (2 * a), places[0]), places[-1]), 9)) + 0.0


LOOKAHEAD = Lookahead(
    name="lookahead",
    description="every few rounds, the rate that shadow learners did best with (AutoLRS-like)",
    privileges=("extra learners",),
    space={
        "every": Choice(options=(4, 8, 16)),
        "reach": Choice(options=(1.0, 2.0, 3.0)),
        "tries": Choice(options=(1, 2)),
    },
)
