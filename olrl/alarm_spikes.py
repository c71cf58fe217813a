"""Drift alarms as points of a curve that a viewer can draw: spikes."""

from collections.abc import Iterable, Mapping
from typing import Any


class AlarmSpikes:
    """For each detector 1 in a round with an alarm, 0 in the rounds beside it, and no points elsewhere.

    A viewer joins points by lines. Alarms alone would be a flat line at 1, which says nothing; a 0 in every other
    round would fill the thousand points that TensorBoard keeps of a curve, and most alarms would be lost.

    >>> spikes = AlarmSpikes()
    >>> spikes.points((), step=0), spikes.points(("adwin",), step=7)
    ([], [(0, {'drift/alarm/adwin': 0.0}), (6, {'drift/alarm/adwin': 0.0}), (7, {'drift/alarm/adwin': 1.0})])
    >>> spikes.points((), step=8), spikes.points((), step=9)
    ([(8, {'drift/alarm/adwin': 0.0})], [])
    >>> spikes.end(step=20)
    {'drift/alarm/adwin': 0.0}
    """

    def __init__(self) -> None:
        self._written: dict[str, int] = {}  # the step of each detector's newest point
        self._up: set[str] = set()  # those whose newest point is 1

    def points(self, alarms: Iterable[str], *, step: int) -> list[tuple[int, dict[str, float]]]:
        """What to write in a round, by step and tag; the steps of a tag only rise, as readers want them."""
        raised = sorted(set(alarms))
        before: dict[int, dict[str, float]] = {}
        for name in raised:
            newest = self._written.get(name)
            since = {0, step - 1} if newest is None else {step - 1} if newest < step - 1 else set()
            for k in since:
                if 0 <= k < step:
                    before.setdefault(k, {})[_tag(name)] = 0.0
        now = {_tag(name): 1.0 for name in raised} | {
            _tag(name): 0.0 for name in sorted(self._up.difference(raised))
        }
        self._written |= dict.fromkeys(self._up.union(raised), step)
        self._up = set(raised)
        return [*sorted(before.items(), key=lambda point: point[0]), *([(step, now)] if now else [])]

    def end(self, *, step: int) -> dict[str, float]:
        """By tag, what lets each curve reach the last round: quiet since its last alarm."""
        return {_tag(name): 0.0 for name, newest in self._written.items() if newest < step}

    def state_dict(self) -> dict[str, Any]:
        """What has been written so far, JSON-able."""
        return {"written": dict(self._written), "up": sorted(self._up)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._written, self._up = dict(state["written"]), set(state["up"])


def _tag(detector: str) -> str:
    return f"drift/alarm/{detector}"
