"""The policy, led astray by the signals of another time."""

from dataclasses import fields, replace
from typing import Any

from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.control.policy import load_policy
from olrl.draws import uniforms
from olrl.monitor.signals import Signals

from .entrant import Conditions, Entrant

_KEY = 1 << 58  # of its draws, apart from those of the memory
# What a controller is told of itself is left as it is; what was measured comes from elsewhere.
BOOKKEEPING = (
    "lr", "batch_size", "window", "updates", "spent", "budget", "update_cost", "price", "nonfinite"
)  # fmt: skip
MEASURED = tuple(f.name for f in fields(Signals) if f.name not in BOOKKEEPING)


class Shuffled(Controller):
    """Another controller, given in round t what was measured in a round drawn uniformly from 0 … t.

    What it sees has the right distribution and the wrong time. Keeps the measurements of all rounds.
    """

    def __init__(self, inner: Controller, *, seed: int) -> None:
        super().__init__(base=inner.base)
        self._inner, self._seed = inner, seed
        self._seen: list[dict[str, Any]] = []

    def decide(self, signals: Signals) -> Decision:
        """The inner controller's decision on what another round measured."""
        t = len(self._seen)
        self._seen.append({name: getattr(signals, name) for name in MEASURED})
        drawn = int(float(uniforms(self._seed, _KEY, t)[0]) * (t + 1))
        return self._inner.decide(replace(signals, **self._seen[drawn]))

    def state_dict(self) -> dict[str, Any]:
        """The inner state and everything seen."""
        return {"inner": self._inner.state_dict(), "seen": [dict(row) for row in self._seen]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._inner.load_state_dict(state["inner"])
        self._seen = [{**row, "alarms": tuple(row["alarms"])} for row in state["seen"]]


class _ShuffledEntrant(Entrant):
    def controller(self, given: Conditions) -> Controller:
        """The policy, shuffled by the seed of the run."""
        inner = load_policy(given.policy).controller(base=given.base, price=given.config.price)
        return Shuffled(inner, seed=given.config.seed)


SHUFFLED = _ShuffledEntrant(
    name="shuffled", description="the policy on the signals of rounds drawn at random", policy="given"
)
