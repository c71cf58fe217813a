"""Rounds of a training loop that is not ours: score what is new, decide, deal out all the updates of the round."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from olrl.adapters.losses import predicted_tokens
from olrl.adapters.monitor import Monitor
from olrl.adapters.sources import Numbers, Source
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.guard import Guard
from olrl.control.policy_controller import PolicyController
from olrl.learners.cost import CostModel
from olrl.memory import Memory
from olrl.monitor.signals import Signals
from olrl.task_kinds import TASKS


@dataclass(frozen=True, kw_only=True)
class Round:
    """What was decided in one round, on what, and whether the guard stepped in (`None`: it did not).

    `guard` is its reason, `layer` the layer that did.
    """

    round: int
    signals: Signals
    decision: Decision
    guard: str | None
    layer: str | None


@dataclass(frozen=True, kw_only=True)
class SteeringConfig:
    """What a round is.

    `chunk` examples arrive and are scored; then steps are taken until `cost.budget` is spent; `price` is what a
    whole budget is worth, relative to the running loss; `probes` examples of the window's oldest chunk are scored
    beside the new ones; `seed` keys what is drawn; `guard` puts a guard between controller and loop, which bounds
    decisions and falls back after trouble; `task` says what is learned ("lm", "classify" or "answer"; `None`: it
    is not known), and the guard holds a policy to its training range on that, where it has one, else to all of
    it; `on_round` is called with each round as soon as it is decided.
    """

    chunk: int = 16
    cost: CostModel = CostModel()
    price: float = 0.0
    probes: int = 4
    seed: int = 0
    guard: bool = True
    task: str | None = "lm"
    on_round: Callable[[Round], None] | None = None

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.probes < 0:
            raise ValueError(
                f"chunk must be at least 1 and probes at least 0, not {self.chunk!r} and {self.probes!r}"
            )
        if self.task is not None and self.task not in TASKS:
            raise ValueError(f"task must be None or one of {', '.join(TASKS)}, not {self.task!r}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rank's part of one optimizer step.

    `numbers` are the examples of the whole step, over all ranks, shape (B,); `mine` the rank's own. It
    trains on their mean loss times `weight`, so that the mean over ranks, which distributed training makes, is that
    over the batch. A rank that gets none has one example to go through the motions, of weight 0.
    `first`: the round's first.
    """

    numbers: Numbers
    mine: list[Any]
    weight: float
    first: bool


class Steering:
    """A controller at work on a loop that asks for the examples of one optimizer step after another.

    `next_step()` gives them; whenever a round's budget is spent it first scores the next chunk, asks the controller
    and puts the decision in force, which then holds for all of the round's steps. Nothing is read ahead.
    `collate` makes a batch of a list of examples, for scoring.
    """

    def __init__(
        self,
        *,
        monitor: Monitor,
        controller: Controller,
        source: Source,
        collate: Callable[[list[Any]], Any],
        config: SteeringConfig | None = None,
        pass_size: int = 16,
    ) -> None:
        _check_applicable(controller)
        self.config = config or SteeringConfig()
        self.monitor, self.controller, self.source = monitor, controller, source
        self.ranks = monitor.ranks
        self.rounds = 0  # decided so far
        self._collate, self._pass_size = collate, pass_size
        training_range = controller.training_range
        guard = Guard(base=controller.base, training_range=training_range, task=self.config.task)
        self._guard = guard if self.config.guard else None
        self._memory = Memory(
            chunk_size=self.config.chunk, example_shape=(), dtype=np.int64, seed=self.config.seed
        )
        self._steps: list[Numbers] = []  # what is left of the round
        self._first = False
        self._over = False

    @property
    def base(self) -> Base:
        """Where control starts from."""
        return self.controller.base

    @property
    def decision(self) -> Decision:
        """What is in force; the base before the first round."""
        return self.monitor.in_force or self.base.decision()

    @property
    def guard_counts(self) -> dict[str, int]:
        """How often each layer of the guard stepped in so far; empty where none did, or there is no guard."""
        return {} if self._guard is None else dict(self._guard.counts)

    @property
    def examples_seen(self) -> int:
        """Examples that have arrived."""
        return self.rounds * self.config.chunk

    @property
    def steps_left(self) -> int:
        """Optimizer steps left in this round."""
        return len(self._steps)

    def next_step(self) -> Step | None:
        """The next optimizer step's examples, after as many rounds as it takes to get there; `None` at the end.

        A round may be decided to have no step.
        """
        while not self._steps:
            if self._over or not self._decide():
                return None
        numbers, first = self._steps.pop(0), self._first
        self._first = False
        mine = self.ranks.share(numbers)
        weight = self.ranks.size * len(mine) / len(numbers)
        if not len(mine):
            mine = numbers[:1]
        return Step(numbers=numbers, mine=self.source.get(mine), weight=weight, first=first)

    def _decide(self) -> bool:
        """Play a round up to its first step; False when the source has ended."""
        new = self.source.take(self.config.chunk)
        if new is None:
            self._over = True
            return False
        self._score(new)
        signals = self.monitor.signals()
        decision, reason, layer = self.controller.decide(signals), None, None
        if self._guard is not None:
            decision, reason = self._guard.check(decision, signals, of=self.controller)
            layer = self._guard.layer
        decision = self.ranks.agreed(decision)
        self.monitor.apply(decision)
        self._memory.add(new)
        self.source.keep_only(self._memory.held)
        if decision.update:
            self._steps, self._first = self._draw(decision), True
        told = Round(round=self.rounds, signals=signals, decision=decision, guard=reason, layer=layer)
        self.rounds += 1
        if self.config.on_round is not None:
            self.config.on_round(told)
        return True

    def _draw(self, decision: Decision) -> list[Numbers]:
        size, updates = decision.batch_size, self.config.cost.updates(decision.batch_size)
        drawn = self._memory.draw(round_=self.rounds, window=decision.window, start=0, count=size * updates)
        return list(drawn.reshape(updates, size))

    def _score(self, new: Numbers) -> None:
        """Each rank scores its share, and all know all of it."""
        numbers, probed = new, 0
        if self.config.probes and self._memory.chunks_seen:
            probes = self._memory.oldest(self.decision.window)[: self.config.probes]
            numbers, probed = np.concatenate([new, probes]), len(probes)
        mine = self.ranks.share(numbers)
        # Of equal length on all ranks: where weights are spread over them, each forward pass is everybody's.
        padding = np.repeat(numbers[:1], -(-len(numbers) // self.ranks.size) - len(mine))
        examples = self.source.get(np.concatenate([mine, padding]))
        rows = self.ranks.merged(self._losses(examples)[: len(mine)], len(numbers))
        tokens = [predicted_tokens(batch) for batch in self._batches(self.source.get(new))]
        self.monitor.scored(
            rows[: len(new)], rows[len(new) :] if probed else None, tokens=np.concatenate(tokens)
        )

    def _losses(self, examples: list[Any]) -> NDArray[np.float64]:
        rows = self.monitor.sequence_losses(list(self._batches(examples)))
        if len(rows) != len(examples):  # the collator makes one row of several examples: then one by one
            rows = self.monitor.sequence_losses([self._collate([example]) for example in examples])
        if len(rows) != len(examples):
            raise ValueError(
                f"{len(examples)} examples were scored to {len(rows)} losses: the collator must make one row of an "
                "example, and losses= must return one loss for each"
            )
        return rows

    def _batches(self, examples: list[Any]) -> Iterator[Any]:
        for k in range(0, len(examples), self._pass_size):
            yield self._collate(examples[k : k + self._pass_size])

    def state_dict(self) -> dict[str, Any]:
        """All that later rounds depend on but the model and its optimizer, between any two steps.

        Plain values and numpy arrays; a source that can be read but once adds the examples that it keeps, as they
        are. With several processes each has its own.
        """
        return {
            "controller": self.controller.state_dict(),
            "guard": None if self._guard is None else self._guard.state_dict(),
            "monitor": self.monitor.state_dict(),
            "memory": self._memory.state_dict(),
            "source": self.source.state_dict(),
            "rounds": self.rounds,
            "steps": [numbers.tolist() for numbers in self._steps],
            "first": self._first,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a steering built with the same arguments; ValueError for an old one."""
        self.monitor.load_state_dict(state["monitor"])  # first, since it knows the format
        self.controller.load_state_dict(state["controller"])
        if self._guard is not None:
            self._guard.load_state_dict(state["guard"])
        self._memory.load_state_dict(state["memory"])
        self.source.load_state_dict(state["source"])
        self.rounds, self._first = int(state["rounds"]), bool(state["first"])
        self._steps = [cast(Numbers, np.asarray(numbers, dtype=np.int64)) for numbers in state["steps"]]


def _check_applicable(controller: Controller) -> None:
    """ValueError where a controller decides what cannot be set in a loop that is not ours."""
    if isinstance(controller, PolicyController) and controller.policy.coding.regularises:
        raise ValueError(
            f"a policy with the coding {controller.policy.coding.name!r} controls weight decay and the pull "
            f"towards the initial weights, which belong to your optimizer here: use one without, or olrl run"
        )
    if controller.base.pull:
        raise ValueError(
            f"base pull {controller.base.pull!r} has no effect here, where the optimizer is yours: leave it out, "
            f"or use olrl run"
        )
