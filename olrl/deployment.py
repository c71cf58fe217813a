"""A controller and a guard steering a loop, round by round, until something ends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.control.guard import Guard
from olrl.interrupt import Interrupt
from olrl.loop import OnlineLoop, RoundRecord
from olrl.streams.flood import GivenUp


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A round's record, the guard's reason if it intervened, and a proposal that was not to be applied."""

    record: RoundRecord
    guard: str | None = None
    proposed: Decision | None = None


class Deployment:
    """Rounds of a loop under a controller behind a guard.

    With `in_force`, that decision is applied in every round and the controller's are proposals only (shadow
    mode). With `loss_withheld` the guard does not miss the loss. `stop` is asked after each round. When `rounds()`
    is exhausted, `ended` says why.
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
        loss_withheld: bool = False,
    ) -> None:
        self.loop = loop
        self.ended = ""
        self._controller = controller
        self._guard = guard
        self._interrupt = interrupt
        self._in_force = in_force
        self._limit = limit
        self._stop = stop
        self._loss_withheld = loss_withheld

    def rounds(self) -> Iterator[Outcome]:
        """One outcome a round."""
        while not self._is_over():
            try:
                with self._interrupt.immediate():
                    signals = self.loop.observe()
            except KeyboardInterrupt:
                self.ended = "it was interrupted"
                return
            except GivenUp as given_up:
                self.ended = f"its stream was given up: {given_up}"
                return
            if signals is None:
                self.ended = "the stream ended" if not self._stop() else "a file STOP was put into its folder"
                return
            proposed = self._controller.decide(signals)
            decision, reason = self._guard.check(
                self._in_force or proposed, signals, loss_withheld=self._loss_withheld
            )
            record = self.loop.apply(decision)
            yield Outcome(record=record, guard=reason, proposed=proposed if self._in_force else None)

    def _is_over(self) -> bool:
        if self._limit is not None and self.loop.rounds.round >= self._limit:
            self.ended = f"all of its {self._limit:,} rounds were run"
        elif self._interrupt.requested is not None:
            self.ended = "it was interrupted"
        elif self._stop():
            self.ended = "a file STOP was put into its folder"
        return bool(self.ended)
