"""The layers put together: lets a decision pass, bounds it, or replaces it by a fallback, and says why."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from olrl.control.controller import Controller
from olrl.control.decision import MAX_LR_NOTCHES, Base, Decision
from olrl.control.guard.bounds import bounded, is_possible, is_valid, slowed
from olrl.control.guard.careful_rate import CarefulRate
from olrl.control.guard.loss_level import LossLevel
from olrl.control.guard.out_of_range import OutOfRange
from olrl.control.guard.rollback import LastGood, weights_at_fault
from olrl.control.guard.settings import GuardSettings
from olrl.control.training_range import TrainingRange
from olrl.monitor.signals import Signals


class _Trouble(NamedTuple):
    """What is wrong with a round: the layer that found it, in words, and what follows."""

    layer: str
    reason: str
    hold: bool = True
    skip: bool = False


class Guard:
    """Lets a decision pass, bounds it, or replaces it by a fallback, and says why.

    The layers, in the order in which they are asked:
        loss: not finite, or far above the usual; where the last good weights do far better on the same chunk,
            they are put back. They are asked for some rounds after a leap of the rate, too. While the loss is
            not finite nothing is trained.
        range: what the decision was made from lies outside of the policy's training range, or is frozen.
        bounds: what a decision may be, and how far it may go in one round.
    The fallback does not trust the base blindly, since the base may be the fault: its rate is the least of
    the base's, the median of the last 20 healthy rounds and half the rate before a rollback; batch size and
    window are the base's.

    Of a training range only the region of `task` counts; where there is none for it, or the task is not known
    (`None`), any region will do.

    `counts` tells how often each layer intervened, `layer` which one did in the last round, `healthy` whether that
    round's weights are worth keeping, and `rollbacks` how often they were put back.

    >>> guard = Guard(base=Base(lr=1e-3))
    >>> signals = Signals(loss_nats=None, lr=1e-3, batch_size=8, window=8)
    >>> decision, reason = guard.check(Decision(lr=4e-3, batch_size=8, window=8), signals)
    >>> decision.lr, reason
    (0.0005, 'loss missing')
    """

    def __init__(
        self,
        *,
        base: Base,
        settings: GuardSettings | None = None,
        training_range: TrainingRange | None = None,
        task: str | None = None,
    ) -> None:
        self.base = base
        self.settings = settings or GuardSettings()
        self.counts: dict[str, int] = {}
        self.layer: str | None = None
        self.healthy = False
        self.rollbacks = 0
        self._level = LossLevel(self.settings)
        self._rate = CarefulRate(base.lr)
        seen = None if training_range is None else training_range.of_task(task)
        self._range = OutOfRange(seen, self.settings)
        self._last = base.decision()
        self._nonfinite = 0
        self._holding = 0  # rounds
        self._suspicious = 0  # rounds
        self._held_lr = math.inf

    def check(
        self,
        decision: Decision,
        signals: Signals,
        *,
        of: Controller | None = None,
        last_good: LastGood | None = None,
        loss_withheld: bool = False,
    ) -> tuple[Decision, str | None]:
        """The decision to act on, and why it is not the one given (`None`: it is).

        `of` is the controller whose decision it is, and is told to forget where its features are stale; without
        it the layer `range` is not asked. `last_good` may be asked for its loss and told to restore; without it
        there is no rollback.
        With `loss_withheld` the loop measures no loss, or keeps it to itself: that it is missing is no trouble.
        Takes about 10 µs, and 20 with a policy that has a range on the task, where nothing is wrong.
        """
        trouble = self._trouble(signals, last_good, loss_withheld)
        self.healthy = trouble is None
        untrusted = None if of is None else self._out_of_range(of, signals)
        if trouble is not None:
            if trouble.hold:
                self._hold()
            return self._fall_back(
                decision, trouble.layer, trouble.reason, held=trouble.hold, skip=trouble.skip
            )
        if self._holding:
            self._holding -= 1
            return self._fall_back(decision, "holding", "holding the fallback after trouble", held=True)
        if untrusted is not None:
            return self._fall_back(decision, "range", untrusted)
        if not is_valid(decision):
            return self._fall_back(decision, "invalid", "decision not finite")
        return self._within_bounds(decision)

    def _out_of_range(self, controller: Controller, signals: Signals) -> str | None:
        observed = controller.observed()
        if observed is None:
            return None
        reason = self._range.check(observed, signals)
        if self._range.stale:
            controller.forget()
        return reason

    def _trouble(self, signals: Signals, last_good: LastGood | None, loss_withheld: bool) -> _Trouble | None:
        """What is wrong with the round; a healthy one is remembered."""
        risen = signals.nonfinite > self._nonfinite
        self._nonfinite = signals.nonfinite
        loss = signals.loss_nats
        if loss is None and loss_withheld:
            return self._without_loss(risen)
        if loss is None and not risen:
            return _Trouble("loss_missing", "loss missing")
        if loss is None or not math.isfinite(loss):
            return self._not_finite(last_good)
        high = self._level.check(loss) == "high"
        if high and (trouble := self._high(loss, last_good)) is not None:
            return trouble
        if not high and (trouble := self._after_a_leap(loss, last_good)) is not None:
            return trouble
        if risen:
            return _Trouble("nonfinite", "a training step was not finite")
        self._rate.healthy(self._last.lr)
        return None

    def _without_loss(self, risen: bool) -> _Trouble | None:
        if risen:
            return _Trouble("nonfinite", "a training step was not finite")
        self._rate.healthy(self._last.lr)
        return None

    def _not_finite(self, last_good: LastGood | None) -> _Trouble:
        if weights_at_fault(None, last_good, ratio=self.settings.weights_ratio):
            return self._roll_back("loss not finite", last_good)
        return _Trouble("loss_nonfinite", "loss not finite", skip=True)

    def _high(self, loss: float, last_good: LastGood | None) -> _Trouble | None:
        """The weights' fault, an outlier (nothing is trained this round), or a change of the stream: then nothing.

        Gradients of an outlier would stay in the optimizer's second moments for a thousand steps.
        """
        usual = self._level.usual
        assert usual is not None, "nothing is high before anything is usual"
        what = f"loss {loss:.3g} above the usual {usual:.3g}"
        if weights_at_fault(loss, last_good, ratio=self.settings.weights_ratio):
            self._level.forgive()
            return self._roll_back(what, last_good)
        if loss > self.settings.outlier_ratio * usual:
            return _Trouble("loss_high", what, hold=False, skip=True)
        return None

    def _after_a_leap(self, loss: float, last_good: LastGood | None) -> _Trouble | None:
        """Weights broken by a rate that leapt too far, while the stream's loss was falling: it is not high then."""
        if not self._suspicious:
            return None
        self._suspicious -= 1
        if weights_at_fault(loss, last_good, ratio=self.settings.weights_ratio):
            return self._roll_back(f"loss {loss:.3g} after a leap of the rate", last_good)
        return None

    def _roll_back(self, what: str, last_good: LastGood | None) -> _Trouble:
        assert last_good is not None, "only its loss tells that the weights are at fault"
        last_good.restore()
        self.rollbacks += 1
        self._suspicious = 0
        self._rate.rolled_back(self._last.lr)
        return _Trouble("rollback", f"{what}: weights rolled back")

    def _hold(self) -> None:
        """Begin to hold a fallback whose rate is at most half of the one before the trouble."""
        if not self._holding:  # else trouble upon trouble would halve the rate to nothing
            self._held_lr = max(self._last.lr / 2, self.base.lr / 2.0**MAX_LR_NOTCHES)
        self._holding = self.settings.hold

    def _fall_back(
        self, decision: Decision, layer: str, reason: str, *, held: bool = False, skip: bool = False
    ) -> tuple[Decision, str]:
        lr = min(self._rate.fallback, self._held_lr) if held else self._rate.fallback
        base = self.base.decision(update=bool(decision.update) and not skip)
        return self._act(replace(base, lr=lr), layer, reason)

    def _within_bounds(self, decision: Decision) -> tuple[Decision, str | None]:
        passed = bounded(decision, base=self.base)
        slow = slowed(passed, self._last, self.settings)
        if slow.lr < passed.lr:
            self._suspicious = self.settings.hold
        if passed != decision:
            return self._act(self._under_ceiling(slow), "bounds", "decision out of bounds")
        if slow != passed:
            return self._act(self._under_ceiling(slow), "slew", "decision too far from the last one")
        if passed.lr > self._rate.ceiling:
            return self._act(
                self._under_ceiling(passed), "ceiling", "rate above the ceiling after a rollback"
            )
        self.layer, self._last = None, passed
        return passed, None

    def _under_ceiling(self, decision: Decision) -> Decision:
        return replace(decision, lr=min(decision.lr, self._rate.ceiling))

    def _act(self, decision: Decision, layer: str, reason: str) -> tuple[Decision, str]:
        self.counts[layer] = self.counts.get(layer, 0) + 1
        self.layer, self._last = layer, decision
        return decision, reason

    def state_dict(self) -> dict[str, Any]:
        """All that later checks depend on, JSON-able."""
        last = self._last
        return {
            "counts": dict(self.counts),
            "rollbacks": self.rollbacks,
            "level": self._level.state_dict(),
            "rate": self._rate.state_dict(),
            "range": self._range.state_dict(),
            "last": {"lr": last.lr, "batch_size": last.batch_size, "window": last.window},
            "nonfinite": self._nonfinite,
            "holding": self._holding,
            "suspicious": self._suspicious,
            "held_lr": None if self._held_lr == math.inf else self._held_lr,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of a guard with the same arguments; ValueError for an impossible one."""
        self.counts = {str(key): int(count) for key, count in state["counts"].items()}
        self.rollbacks = int(state["rollbacks"])
        self._level.load_state_dict(state["level"])
        self._rate.load_state_dict(state["rate"])
        self._range.load_state_dict(state["range"])
        last = state["last"]
        self._last = replace(
            self._last,
            lr=float(last["lr"]),
            batch_size=int(last["batch_size"]),
            window=int(last["window"]),
        )
        self._nonfinite = int(state["nonfinite"])
        self._holding = int(state["holding"])
        self._suspicious = int(state["suspicious"])
        self._held_lr = math.inf if state["held_lr"] is None else float(state["held_lr"])
        if not (is_possible(self._last, base=self.base) and self._held_lr > 0):
            raise ValueError("the guard's state holds a decision that it would never have let pass")
