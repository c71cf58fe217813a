"""Drift alarms as points of a curve that a viewer can draw: spikes."""

from collections.abc import Iterable, Mapping
from typing import Any

QUIET_ROUNDS = 4  # viewers smooth over points: after a single 0 the curve would stay lifted to the next alarm


class AlarmSpikes:
    """For each detector 1 in a round with an alarm, 0 in the rounds beside it, and no points elsewhere.

    A viewer joins points by lines. Alarms alone would be a flat line at 1, which says nothing; a 0 in every other
    round would fill the thousand points that TensorBoard keeps of a curve, and most alarms would be lost. As it is
    all are kept of up to some 170 alarms of a detector; of more, it keeps a sample, and the counts so far.

    >>> spikes = AlarmSpikes()
    >>> spikes.points(("adwin",), step=7)
    [(0, {'drift/alarm/adwin': 0.0}), (6, {'drift/alarm/adwin': 0.0}), (7, {'drift/alarm/adwin': 1.0})]
    >>> [k for k in range(8, 90) if spikes.points((), step=k)]
    [8, 9, 10, 11]
    >>> spikes.end(step=90)
    {'drift/alarm/adwin': 0.0}
    """

    def __init__(self) -> None:
        self._written: dict[str, int] = {}  # the step of each detector's newest point
        self._raised: dict[str, int] = {}  # and of its newest alarm

    def points(self, alarms: Iterable[str], *, step: int) -> list[tuple[int, dict[str, float]]]:
        """What to write in a round, by step and tag; the steps of a tag only rise, as readers want them."""
        raised = sorted(set(alarms))
        before: dict[int, dict[str, float]] = {}
        for name in raised:
            newest = self._written.get(name, -1)
            for k in {0, step - 1} if newest < 0 else {step - 1}:
                if newest < k < step:
                    before.setdefault(k, {})[_tag(name)] = 0.0
        self._raised |= dict.fromkeys(raised, step)
        now = {_tag(k): float(k in raised) for k, at in self._raised.items() if step - at <= QUIET_ROUNDS}
        self._written |= {name: step for name in self._raised if _tag(name) in now}
        return [*sorted(before.items()), *([(step, now)] if now else [])]

    def end(self, *, step: int) -> dict[str, float]:
        """By tag, what lets each curve reach the last round: quiet since its last alarm."""
        return {_tag(name): 0.0 for name, newest in self._written.items() if newest < step}

    def state_dict(self) -> dict[str, Any]:
        """What has been written so far, JSON-able."""
        return {"written": dict(self._written), "raised": dict(self._raised)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._written, self._raised = dict(state["written"]), dict(state["raised"])


def _tag(detector: str) -> str:
    return f"drift/alarm/{detector}"
