"""What takes part in a comparison: a controller, an optimizer or a search, with the privileges it declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from olrl.assembly import LoopConfig
from olrl.control.controller import Controller
from olrl.control.decision import Base
from olrl.learners.learner import Learner
from olrl.streams.chunk import Chunk

from ..evaluation.forgetting import HeldOut
from ..evaluation.play import LearnerPool, Rollout, Trace, play
from .search import OptunaSearch, Search
from .space import Space

PRIVILEGES = {
    "future": "looks at losses on chunks that are yet to come",
    "snapshots": "puts the learner back to where it was",
    "horizon": "knows how many rounds there will be",
    "extra learners": "trains other learners beside its own",
    "tuning on the test stream": "is tuned on the stream it is judged on",
    "change points": "knows when the stream changes",
}


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What an entrant starts from.

    base: the user's configuration, possibly wrong. fixed: the constant tuned for the model, where there is one.
    policy: name or folder of the policy that is compared. rounds: how many there will be; to look at it is a
    privilege. config: of the loop. settings: those of the entrant, tuned or tried; none are its own.
    """

    base: Base
    fixed: Base | None = None
    policy: str = "default"
    rounds: int
    config: LoopConfig
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> Base:
        """The tuned constant where there is one, else the base: where a search with privileges starts."""
        return self.fixed or self.base


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to make: where it starts from, all chunks of its stream, and learners of the model.

    `training(k)` gives the chunks of training stream number k, as many as the task has. On `held_out` it is
    measured what the learner has forgotten at the end: no entrant looks at it.
    """

    given: Conditions
    chunks: Sequence[Chunk]
    learners: LearnerPool
    training: Callable[[int], Sequence[Chunk]]
    held_out: HeldOut = field(default_factory=dict)

    def rollout(self, *, base: Base) -> Rollout:
        """A run on the task's chunks with a fresh learner, from `base`."""
        learner, config = self.learners.fresh(), self.given.config
        return Rollout(self.chunks, learner, base=base, config=config, held_out=self.held_out)

    def play(self, controller: Controller, *, learner: Learner | None = None) -> Trace:
        """The whole run under a controller, with a fresh learner if none is given."""
        return play(
            controller,
            self.chunks,
            learner or self.learners.fresh(),
            base=controller.base,  # its own: `fixed` has another than the task
            config=self.given.config,
            held_out=self.held_out,
        )


@dataclass(frozen=True, kw_only=True)
class Entrant(ABC):
    """One way to run an online learner, by name.

    uses_base: false for one that behaves the same whatever the base's rate. suite: on whose training streams it is
    tuned, at its price. policy: what it is made from, the policy that is "given" to be compared (so that it runs
    once with every one), but the "shape" of that, or the one that is "shipped". privileges: which of `PRIVILEGES`
    it takes. space: the ranges that it is tuned in, none where there is nothing to tune; trials: in how many tries,
    of which `start` is the first (none: the settings it has by default). requires: packages beside those of the
    core, from the extra `rivals`.
    """

    name: str
    description: str
    uses_base: bool = True
    policy: Literal["given", "shape", "shipped"] | None = None
    privileges: tuple[str, ...] = ()
    space: Space = field(default_factory=dict)
    trials: int = 64
    start: Mapping[str, Any] = field(default_factory=dict)
    suite: str = "drift"
    requires: tuple[str, ...] = ()
    extra: str = "rivals"

    def __post_init__(self) -> None:
        for privilege in self.privileges:
            if privilege not in PRIVILEGES:
                raise ValueError(f"unknown privilege {privilege!r}; known: {', '.join(PRIVILEGES)}")

    @abstractmethod
    def controller(self, given: Conditions) -> Controller:
        """The controller that a run begins with; ValueError for whatever it cannot be made from."""

    def play(self, task: Task) -> Trace:
        """Make the run."""
        return task.play(self.controller(task.given), learner=self.learner(task))

    def learner(self, task: Task) -> Learner:
        """The learner that is steered, fresh."""
        return task.learners.fresh()

    def search(self, *, seed: int) -> Search | None:
        """How its settings are searched; `None` where it has none."""
        return OptunaSearch(self.space, seed=seed) if self.space else None

    def check(self) -> None:
        """ValueError if a package that it needs is not installed."""
        for package in self.requires:
            if find_spec(package) is None:
                raise ValueError(
                    f"{self.name!r} needs the package {package}: install it with pip install 'olrl[{self.extra}]'"
                )
