"""Drift detectors on the loss and on the tokens: which of them fire, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from olrl.monitor.innovations import Innovations
from olrl.monitor.kswin import KSWIN

DETECTORS: tuple[str, ...] = ("adwin", "page-hinkley", "kswin", "page-hinkley-rise", "page-hinkley-tokens")

_SMALLEST_SHIFT = 0.01  # a token shift below counts as this: among equal chunks one token is no drift


class PageHinkleySettings(NamedTuple):
    """The numbers of river's `PageHinkley`."""

    threshold: float
    min_instances: int = 10
    delta: float = 1.0
    alpha: float = 0.98


PAGE_HINKLEY = {
    "page-hinkley": PageHinkleySettings(threshold=15.0),
    "page-hinkley-rise": PageHinkleySettings(threshold=4.0),
}
KEEP = 256  # inputs that a detector is remembered by


class _Detector(Protocol):
    @property
    def drift_detected(self) -> bool: ...

    def update(self, x: float) -> object: ...


# The first three were set on standardised innovations of made losses. On losses without drift, autocorrelated
# (AR(1), 0 to 0.8) and falling or not, ADWIN raises 0.9 and Page-Hinkley 1.4 false alarms in 1,000 rounds. Of
# rises of the loss by 28 % (65 %) amid noise of 5 % they find 0.8 (0.93), about two rounds late. KSWIN raises
# 0.7 false alarms in 1,000 rounds and finds noise four times as loud after about 12; a rise of the loss it
# mostly misses.
#
# Losses of real text are another matter: documents differ so much that these three found 4 of 87 switches of
# domain in chunks of 1 KB. The last two were set on such streams (research log): within 5 rounds they find
# 43 % and 80 % of the switches there and 37 % and 60 % on streams held out, at about 0.4 and 1.0 false alarms
# in 100 rounds.
def _adwin() -> _Detector:
    from river.drift import ADWIN

    # river's bound is made for values in [0, 1]; innovations reach ±6, hence a delta that looks generous.
    return ADWIN(delta=0.2, clock=1, min_window_length=2, grace_period=10)  # type: ignore[no-untyped-call]


def _page_hinkley() -> _Detector:
    from river.drift import PageHinkley

    return PageHinkley(mode="both", **PAGE_HINKLEY["page-hinkley"]._asdict())


def _kswin() -> _Detector:
    return KSWIN(alpha=0.005, window=80, newest=15, seed=0)


def _page_hinkley_rise() -> _Detector:
    from river.drift import PageHinkley

    return PageHinkley(mode="up", **PAGE_HINKLEY["page-hinkley-rise"]._asdict())


def _page_hinkley_tokens() -> _Detector:
    from river.drift import PageHinkley

    # In units of log distance. Only rises count: the distance falls back by itself after a switch.
    return PageHinkley(min_instances=3, delta=0.3, threshold=0.5, alpha=0.98, mode="up")


class _Inputs(NamedTuple):
    """What a round offers to watch, `None` where it was not measured."""

    surprise: float | None  # innovation of the log loss
    size: float | None  # log size of that innovation before it is standardised
    tokens: float | None  # log token shift


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How a detector is made, how many inputs it is remembered by, and which field of `_Inputs` it watches."""

    make: Callable[[], _Detector]
    keep: int = KEEP
    watches: int = _Inputs._fields.index("surprise")


_KINDS: dict[str, _Kind] = {
    "adwin": _Kind(make=_adwin),
    "page-hinkley": _Kind(make=_page_hinkley),
    # It looks at its window only, and a replay shorter than that costs no test.
    "kswin": _Kind(make=_kswin, keep=79, watches=_Inputs._fields.index("size")),
    "page-hinkley-rise": _Kind(make=_page_hinkley_rise),
    "page-hinkley-tokens": _Kind(make=_page_hinkley_tokens, watches=_Inputs._fields.index("tokens")),
}


class _Remembered:
    """A detector that can be saved, since it is always a fresh one that was fed `history`.

    After an alarm it starts anew. When its history has grown to twice `keep`, it restarts from the newest
    `keep` inputs, so that neither memory nor the cost of loading grows.
    """

    def __init__(self, kind: _Kind) -> None:
        self._kind = kind
        self.replay([])

    def update(self, inputs: _Inputs) -> bool:
        value = inputs[self._kind.watches]
        if value is None:
            return False
        fired = self._feed(value)
        if len(self.history) >= 2 * self._kind.keep:
            self.replay(self.history[-self._kind.keep :])
        return fired

    def replay(self, history: Sequence[float]) -> None:
        self.history: list[float] = []
        self._detector = self._kind.make()
        for value in history:
            self._feed(value)

    def _feed(self, value: float) -> bool:
        self._detector.update(value)
        if not self._detector.drift_detected:
            self.history.append(value)
            return False
        self.history, self._detector = [], self._kind.make()
        return True


class DetectorBank:
    """Drift detectors by name, fed once a round with its loss and with how far its tokens have moved.

    `adwin` (Bifet and Gavaldà, 2007) and `page-hinkley` (Page, 1954) look for rises and falls of the loss
    that its own past does not explain; `kswin` (Raab et al., 2020) for a change in the size of what is not
    explained, such as a burst of noise; `page-hinkley-rise` for rises alone, small ones too;
    `page-hinkley-tokens` for rises of the token shift (`TokenHistograms.recent_shift`) by about half. A
    detector is silent in rounds that lack its measurement, and starts anew after its alarm.

    An update takes about 15 µs with all of them. The implementations but for `kswin` are river's, imported when a
    bank is built.

    >>> bank = DetectorBank(("page-hinkley", "page-hinkley-tokens"))
    >>> losses = [2.0, 2.1] * 20 + [4.0] * 3
    >>> [(round_, bank.update(loss)) for round_, loss in enumerate(losses)][-2:]
    [(41, ()), (42, ('page-hinkley',))]
    >>> [bank.update(4.0, shift) for shift in (0.2, 0.18, 0.21, 0.2, 0.6)][-2:]
    [(), ('page-hinkley-tokens',)]
    """

    def __init__(self, names: Sequence[str] = DETECTORS) -> None:
        unknown = [name for name in names if name not in _KINDS]
        if unknown:
            raise ValueError(f"unknown drift detector {unknown[0]!r}; known: {', '.join(DETECTORS)}")
        self.names = tuple(names)
        self._innovations = Innovations()
        self._detectors = {name: _Remembered(_KINDS[name]) for name in self.names}

    def update(self, loss_nats: float | None, token_shift: float | None = None) -> tuple[str, ...]:
        """Take in a new round's loss and token shift, `None` where missing, and tell which detectors fired.

        Raises ValueError, and learns nothing, when either is not finite.
        """
        if token_shift is not None and not math.isfinite(token_shift):
            raise ValueError(f"a detector takes finite token shifts, not {token_shift!r}: pass None instead")
        surprise = None if loss_nats is None else self._innovations.update(loss_nats)
        inputs = _Inputs(
            surprise,
            None if surprise is None else self._innovations.log_size,
            None if token_shift is None else math.log(max(token_shift, _SMALLEST_SHIFT)),
        )
        return tuple([name for name, detector in self._detectors.items() if detector.update(inputs)])

    def state_dict(self) -> dict[str, Any]:
        """All that later alarms depend on, JSON-able: running figures and each detector's recent inputs."""
        return {
            "innovations": self._innovations.state_dict(),
            "histories": {name: list(detector.history) for name, detector in self._detectors.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a bank of the same detectors; ValueError for another's.

        Costs a replay of at most 512 inputs a detector.
        """
        if set(state["histories"]) != set(self.names):
            saved = ", ".join(state["histories"]) or "no detectors"
            raise ValueError(f"a bank of {self.names} cannot continue from the saved state of {saved}")
        for history in state["histories"].values():
            if not all(math.isfinite(value) for value in history):
                raise ValueError("a saved detector history holds a value that is not finite")
        self._innovations.load_state_dict(state["innovations"])
        for name, detector in self._detectors.items():
            detector.replay(state["histories"][name])

    def copy(self) -> DetectorBank:
        """An independent bank in the same state."""
        twin = DetectorBank(self.names)
        twin.load_state_dict(self.state_dict())
        return twin
