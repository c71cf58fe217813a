"""A controller and a guard steering a loop, round by round, until something ends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.control.guard import Guard
from olrl.interrupt import Interrupt
from olrl.loop import OnlineLoop, RoundRecord


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A round's record, the guard's reason if it intervened, and a proposal that was not to be applied."""

    record: RoundRecord
    guard: str | None = None
    proposed: Decision | None = None


class Deployment:
    """Rounds of a loop under a controller behind a guard.

    With `in_force`, that decision is applied in every round and the controller's are proposals only (shadow
    mode). `stop` is asked after each round. When `rounds()` is exhausted, `ended` says why.
    """

    def __init__(
        self,
        loop: OnlineLoop,
        *,
        controller: Controller,
        guard: Guard,
        interrupt: Interrupt,
        in_force: Decision | None = None,
        limit: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.loop = loop
        self.ended = ""
        self.torn = False  # interrupted within a round: its parts do not fit together any more
        self._controller = controller
        self._guard = guard
        self._interrupt = interrupt
        self._in_force = in_force
        self._limit = limit
        self._stop = stop

    def rounds(self) -> Iterator[Outcome]:
        """One outcome a round."""
        while not self._is_over():
            try:
                with self._interrupt.immediate():
                    signals = self.loop.observe()
            except KeyboardInterrupt:
                self.torn = True
                self.ended = "it was interrupted"
                return
            if signals is None:
                self.ended = "the stream ended" if not self._stop() else "a file STOP was put into its folder"
                return
            proposed = self._controller.decide(signals)
            decision, reason = self._guard.check(self._in_force or proposed, signals)
            record = self.loop.apply(decision)
            yield Outcome(record=record, guard=reason, proposed=proposed if self._in_force else None)

    def state_dict(self) -> dict[str, Any]:
        """Loop, controller and guard between two rounds; everything but the stream."""
        return {
            "loop": self.loop.state_dict(),
            "controller": self._controller.state_dict(),
            "guard": self._guard.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        self.loop.load_state_dict(state["loop"])
        self._controller.load_state_dict(state["controller"])
        self._guard.load_state_dict(state["guard"])

    def _is_over(self) -> bool:
        if self._limit is not None and self.loop.rounds.round >= self._limit:
            self.ended = f"all of its {self._limit:,} rounds were run"
        elif self._interrupt.requested is not None:
            self.ended = "it was interrupted"
        elif self._stop():
            self.ended = "a file STOP was put into its folder"
        return bool(self.ended)
