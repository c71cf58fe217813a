"""A controller and a guard steering a loop, round by round, until something ends it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.control.guard import Budgets, Guard
from olrl.interrupt import Interrupt
from olrl.learners.learner import Learner
from olrl.learners.snapshots import Snapshots
from olrl.loop import OnlineLoop, RoundRecord
from olrl.monitor.signals import Signals
from olrl.streams.flood import GivenUp


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A round's record, what the guard did, and a proposal that was not to be applied.

    `guard` is its reason if it intervened, `layer` the layer that did; `proposed` is there in shadow mode.
    """

    record: RoundRecord
    guard: str | None = None
    layer: str | None = None
    proposed: Decision | None = None


class Deployment:
    """Rounds of a loop under a controller behind a guard.

    With `in_force`, that decision is applied in every round that is `in_shadow`, by its number, and the
    controller's are proposals only: then the guard watches what is in force, and not whether the proposals can be
    trusted. `stop` is asked after each round. With `loss_withheld` the guard neither misses the loss nor measures
    one to roll back by. Without `budgets` nothing but the stream, `limit`, `stop` or an interrupt ends the rounds;
    when they do, `ended` says why.
    """

    def __init__(
        self,
        loop: OnlineLoop,
        *,
        controller: Controller,
        guard: Guard,
        interrupt: Interrupt,
        budgets: Budgets | None = None,
        in_force: Decision | None = None,
        in_shadow: Callable[[int], bool] = lambda number: True,
        limit: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        loss_withheld: bool = False,
    ) -> None:
        self.loop = loop
        self.ended = ""
        self.torn = False  # not as between two rounds any more: nothing to go on from
        self.budgets = budgets or Budgets()
        settings = guard.settings
        self.snapshots = Snapshots(size=settings.snapshots, every=settings.snapshot_every)
        self._last_good = _LastGoodStates(loop, self.snapshots)
        self._controller = controller
        self._guard = guard
        self._interrupt = interrupt
        self._in_force, self._in_shadow = in_force, in_shadow
        self._limit = limit
        self._stop = stop
        self._loss_withheld = loss_withheld

    def rounds(self) -> Iterator[Outcome]:
        """One outcome a round; weights that the last round broke are put back before the rounds are over."""
        yield from self._rounds()
        if len(self.snapshots) and not _is_finite(self.loop.learner):
            self.snapshots.restore(self.loop.learner)
            self.torn = True
            self.ended += "; the weights that its last round broke were put back"

    def _rounds(self) -> Iterator[Outcome]:
        while not self._is_over():
            try:
                with self._interrupt.immediate():
                    signals = self.loop.observe()
            except KeyboardInterrupt:
                self.torn = True
                self.ended = "it was interrupted"
                return
            except GivenUp as given_up:
                self.ended = f"its stream was given up: {given_up}"
                return
            if signals is None:
                self.ended = "the stream ended" if not self._stop() else "a file STOP was put into its folder"
                return
            yield self._round(signals)

    def _round(self, signals: Signals) -> Outcome:
        proposed = self._controller.decide(signals)
        in_force = self._in_force if self._in_shadow(self.loop.rounds.round) else None
        asked = in_force or proposed
        before = self._guard.rollbacks
        decision, reason = self._guard.check(
            asked,
            signals,
            of=None if in_force else self._controller,
            last_good=None if self._loss_withheld else self._last_good,
            loss_withheld=self._loss_withheld,
        )
        if self._guard.healthy:
            self.snapshots.good(self.loop.learner)
        record = self.loop.apply(decision)
        withheld = asked.update and not decision.update
        fruitless = decision.update and not record.report.updates
        self.budgets.spend(
            tokens=record.tokens,
            rollbacks=self._guard.rollbacks - before,
            skips=int(withheld or fruitless),
        )
        return Outcome(
            record=record,
            guard=reason,
            layer=self._guard.layer,
            proposed=proposed if in_force else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Loop, controller, guard and what it can go back to between two rounds; everything but the stream."""
        return {
            "loop": self.loop.state_dict(),
            "controller": self._controller.state_dict(),
            "guard": self._guard.state_dict(),
            "budgets": self.budgets.state_dict(),
            "snapshots": self.snapshots.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        self.loop.load_state_dict(state["loop"])
        self._controller.load_state_dict(state["controller"])
        self._guard.load_state_dict(state["guard"])
        self.budgets.load_state_dict(state["budgets"])
        self.snapshots.load_state_dict(state["snapshots"])

    def _is_over(self) -> bool:
        if self._limit is not None and self.loop.rounds.round >= self._limit:
            self.ended = f"all of its {self._limit:,} rounds were run"
        elif self._interrupt.requested is not None:
            self.ended = "it was interrupted"
        elif self._stop():
            self.ended = "a file STOP was put into its folder"
        elif self.loop.rounds.round:  # one round at least, or there is nothing to tell
            self.ended = self.budgets.over or ""
        return bool(self.ended)


def _is_finite(learner: Learner) -> bool:
    arrays = learner.state_dict().values()
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind == "f")


class _LastGoodStates:
    """What the guard asks of the weights: how the last good ones would do, and to put the best of them back.

    All that are kept are asked: weights that a far too high rate has begun to break may still pass for good.
    """

    def __init__(self, loop: OnlineLoop, snapshots: Snapshots) -> None:
        self._loop, self._snapshots = loop, snapshots
        self._best = -1

    def loss_nats(self) -> float | None:
        states, learner = self._snapshots.states, self._loop.learner
        if not states:
            return None
        now: dict[str, Any] = learner.state_dict()
        losses = []
        for state in states:
            learner.load_state_dict(state)
            loss = self._loop.rescore()
            losses.append(math.inf if loss is None else loss)
        learner.load_state_dict(now)
        least = min(losses)
        self._best = max(k for k, loss in enumerate(losses) if loss == least)  # of equal ones the newest
        return least if math.isfinite(least) else None

    def restore(self) -> None:
        self._snapshots.restore(self._loop.learner, self._best)
