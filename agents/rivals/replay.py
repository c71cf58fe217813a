"""The policy's mean decisions, played without looking."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from olrl.assembly import LoopConfig
from olrl.control.controller import Controller
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base, Decision
from olrl.control.policy import load_policy
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk

from ..evaluation.play import LearnerPool, Trace, play
from .entrant import Conditions, Entrant, Task

STREAMS = 4  # training streams that decisions are averaged over


class Replay(Controller):
    """Decisions made beforehand, one a round; the last one is held.

    >>> decisions = [Decision(lr=1e-3, batch_size=8, window=1), Decision(lr=2e-3, batch_size=8, window=1)]
    >>> controller = Replay(decisions, base=Base(lr=1e-3))
    >>> [controller.decide(Signals(lr=1e-3, batch_size=8, window=8)).lr for _ in range(3)]
    [0.001, 0.002, 0.002]
    """

    def __init__(self, decisions: Sequence[Decision], *, base: Base) -> None:
        super().__init__(base=base)
        if not decisions:
            raise ValueError("there must be at least one decision to replay")
        self._decisions = tuple(decisions)
        self._round = 0

    def decide(self, signals: Signals) -> Decision:
        """The round's decision, whatever the signals."""
        decision = self._decisions[min(self._round, len(self._decisions) - 1)]
        self._round += 1
        return decision

    def state_dict(self) -> dict[str, Any]:
        """The number of the round."""
        return {"round": self._round}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._round = int(state["round"])


class _ReplayEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """The policy itself, whose decisions are recorded on training streams."""
        return load_policy(given.policy).controller(base=given.base, price=given.config.price)

    def play(self, task: Task) -> Trace:
        """The mean decisions of plays on training streams, whose cost is counted as that of trials."""
        base, config = task.given.base, task.given.config
        traces = _recorded(task.given.policy, base, config, task.learners, task.training)
        trace = task.play(Replay(mean_decisions(traces, base=base), base=base))
        return replace(
            trace,
            trial_examples=sum(recorded.examples for recorded in traces),
            extra_spent=sum(recorded.total_spent for recorded in traces),
            signal_examples=trace.signal_examples
            + sum(recorded.signal_examples + config.chunk * len(recorded.lr) for recorded in traces),
        )


@lru_cache(maxsize=8)  # many streams are compared from the same base
def _recorded(
    policy: str,
    base: Base,
    config: LoopConfig,
    learners: LearnerPool,
    training: Callable[[int], Sequence[Chunk]],
) -> tuple[Trace, ...]:
    loaded = load_policy(policy)
    return tuple(
        play(
            loaded.controller(base=base, price=config.price),
            training(k),
            learners.fresh(),
            base=base,
            config=config,
        )
        for k in range(STREAMS)
    )


def mean_decisions(traces: Sequence[Trace], *, base: Base) -> list[Decision]:
    """Round by round the mean of log rate, log batch size and window position; trained where most did.

    Batch size and window go to the nearest place on their ladders. As many rounds as the shortest trace has.
    """
    decisions = []
    for k in range(min(len(trace.lr) for trace in traces)):
        size = np.mean([math.log2(trace.batch_size[k]) for trace in traces])
        window = np.mean([WINDOWS.index(trace.window[k]) for trace in traces])
        decisions.append(
            Decision(
                lr=float(np.exp(np.mean([math.log(trace.lr[k]) for trace in traces]))),
                batch_size=BATCH_SIZES[round(float(size))],
                window=WINDOWS[round(float(window))],
                update=bool(np.mean([trace.update[k] for trace in traces]) >= 0.5),
                weight_decay=base.weight_decay,
                pull=base.pull,
            )
        )
    return decisions


REPLAY = _ReplayEntrant(
    name="replay",
    description="the policy's mean decisions on training streams, without looking",
    policy="given",
)
