"""Settings of a hindsight stage."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class HindsightConfig:
    """How many runs a leg makes, and how the policy is fitted to all of them so far.

    grounds: what learners learn on. "text": drifting text of the model and suite that the stage's `env` names;
        "labels": labelled snippets (`olrl.agents.hindsight.label_streams`).
    streams: training streams of a leg, each of `rounds` decisions.
    policy_lanes: learners on each stream that the policy itself steers, from bases right and wrong; one
        decision in `1 / explore` of theirs moves the rate at random, so that what follows a mistake is seen too.
    horizon: rounds after a decision over which its cost is counted.
    commitment: weight of what a choice itself costs over the horizon, beside the best that can still be reached
        by going on in its direction; 1 would never take two steps where the first one alone does not pay.
    switch_rate, switch_others: per cent that a move of the rate, or of batch size or window, is charged. The costs
        of constant runs do not tell what going to and fro costs a learner, and most choices cost nearly the same:
        without a charge the policy wanders.
    first_up: per cent that raising the rate in the very first round is charged.
    anchor: per cent that each octave away from the tuned rate costs, in place of what hindsight says of rates; None
        where hindsight is believed.
    skip: per cent that not training in a round is charged, beside what training would have been worth.
    steps, batch_size, learning_rate, weight_decay: of AdamW, anew in each leg; weights go on from the leg before.
    entropy: per cent of loss that a choice may cost more and still be taken e times less often.
    noise: standard deviation of noise added to observations, which are about 1 in size.
    unknown_levels: whether features that have a level of their model's own are seen at other levels too
        (`olrl.agents.hindsight.variations`).
    """

    grounds: Literal["text", "labels"] = "text"
    streams: int = 12
    rounds: int = 80
    policy_lanes: int = 6
    explore: float = 0.1
    horizon: int = 25
    commitment: float = 0.15
    switch_rate: float = 1.0
    switch_others: float = 3.0
    first_up: float = 10.0
    anchor: float | None = None
    skip: float = 0.5
    steps: int = 2000
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    entropy: float = 0.3
    noise: float = 0.1
    unknown_levels: bool = True

    def __post_init__(self) -> None:
        if self.grounds not in ("text", "labels"):
            raise ValueError(f"grounds must be text or labels, not {self.grounds!r}")
        for name in ("streams", "rounds", "policy_lanes", "horizon", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} of a hindsight stage must be at least 1, not {getattr(self, name)!r}"
                )
        for name in ("explore", "commitment"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)!r}")
        for name in ("switch_rate", "switch_others", "first_up", "skip", "weight_decay", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)!r}")
        if self.anchor is not None and not self.anchor > 0:
            raise ValueError(f"anchor must be positive or none, not {self.anchor!r}")
        for name in ("learning_rate", "entropy"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
