"""Reads back what a training loop really did: rates from its optimizer, rows from its model's forward passes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch

from olrl.adapters.steering import SteeringConfig
from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.cost import CostModel
from olrl.learners.optimizer import OptimizerConfig
from olrl.memory import Memory
from olrl.models.byte_level import ByteModelShape, build_model
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk

LENGTH = 12  # tokens a row
CHUNK = 6
ROUNDS = 8
COST = CostModel(budget=24)  # 4, 3, 2 or 1 updates of 1, 3, 8 or 16 sequences
BASE = Base(lr=1e-3, batch_size=3, window=2)
CONFIG = SteeringConfig(chunk=CHUNK, cost=COST, guard=False)  # decisions reach the loop as they were decided

# What the libraries that are steered warn of, and we cannot help.
TRL_WARNINGS = [pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")]
PEFT_WARNING = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
LIGHTNING_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (
        r".*treespec, LeafSpec.* is deprecated",  # of torch, by Lightning
        r".*does not have many workers",  # on more than two cores
        r"GPU available but not used",
    )
]

# Every knob changes from each round to the next one that trains, and some rounds do not train.
SCRIPT = (
    Decision(lr=1e-3, batch_size=3, window=1),
    Decision(lr=4e-3, batch_size=8, window=2),
    Decision(lr=4e-3, batch_size=8, window=2, update=False),
    Decision(lr=5e-4, batch_size=1, window=4),
    Decision(lr=2e-3, batch_size=5, window=0),
    Decision(lr=2.5e-4, batch_size=16, window=1),
)


class Scripted(Controller):
    """Decides what it was told to, over and over, and keeps the signals it saw."""

    def __init__(self, script: Sequence[Decision] = SCRIPT, *, base: Base = BASE) -> None:
        super().__init__(base=base)
        self._script = cycle(script)
        self.signals: list[Signals] = []
        self.decisions: list[Decision] = []

    def decide(self, signals: Signals) -> Decision:
        self.signals.append(signals)
        self.decisions.append(next(self._script))
        return self.decisions[-1]

    def state_dict(self) -> dict[str, Any]:
        return {"decided": len(self.decisions)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for _ in range(state["decided"]):
            next(self._script)


def a_model(seed: int = 0) -> Any:
    """A small Llama over bytes."""
    return build_model(ByteModelShape(width=8, layers=1, heads=2, mlp=16), seed=seed)


def rows(count: int, *, length: int = LENGTH, seed: int = 0) -> Any:
    """Different rows of token ids, shape (count, length)."""
    return np.random.default_rng(seed).integers(1, 256, (count, length))


DATA = rows(CHUNK * ROUNDS)
UNEVEN = rows(CHUNK * ROUNDS + 2)  # the last two never make a chunk


@dataclass
class Steps:
    """What each optimizer step was: its rate and the rows that went forward, for training, before it."""

    rates: list[float] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)
    passes: list[list[int]] = field(default_factory=list)  # rows of each forward pass of the step


class Reader:
    """Watches a model and its optimizer from outside of the adapter."""

    def __init__(self, model: torch.nn.Module, data: Any) -> None:
        self.steps = Steps()
        self._number = {tuple(row): k for k, row in enumerate(data.tolist())}
        self._passes: list[list[int]] = []
        model.register_forward_pre_hook(self._forward, with_kwargs=True)

    def watch(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.register_step_post_hook(self._stepped)

    def _forward(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        if torch.is_grad_enabled():
            tokens = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
            self._passes.append([self._number[tuple(row)] for row in tokens.tolist()])

    def _stepped(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        rates = {float(group["lr"]) for group in optimizer.param_groups}
        assert len(rates) == 1
        self.steps.rates.append(rates.pop())
        self.steps.batches.append([row for one in self._passes for row in one])
        self.steps.passes.append([len(one) for one in self._passes])
        self._passes = []


def expected(
    script: Sequence[Decision] = SCRIPT, *, rounds: int = ROUNDS, chunk: int = CHUNK, size: int
) -> Steps:
    """What the steps of so many rounds must be, by the memory alone; rows are numbered modulo `size`."""
    memory = Memory(chunk_size=chunk, example_shape=(), dtype=np.int64, seed=0)
    steps, decisions = Steps(), cycle(script)
    for k in range(rounds):
        decision = next(decisions)
        memory.add(np.arange(k * chunk, (k + 1) * chunk))
        if not decision.update:
            continue
        updates = COST.updates(decision.batch_size)
        drawn = memory.draw(
            round_=k, window=decision.window, start=0, count=updates * decision.batch_size
        ).reshape(updates, -1)
        for numbers in drawn:
            steps.rates.append(decision.lr)
            steps.batches.append([int(number) % size for number in numbers])
            oldest = (k + 1 - decision.window) * chunk if decision.window else 0
            assert min(numbers) >= oldest, "the reference itself must keep to its window"
    return steps


def assert_in_force(
    steps: Steps, script: Sequence[Decision] = SCRIPT, *, rounds: int = ROUNDS, size: int
) -> None:
    """Decision t held from the first to the last update of round t: rate, batch size and window."""
    wanted = expected(script, rounds=rounds, size=size)
    assert steps.rates == wanted.rates
    assert [len(batch) for batch in steps.batches] == [len(batch) for batch in wanted.batches]
    assert steps.batches == wanted.batches


def a_lora_model() -> Any:
    """The same model, frozen, with adapters that learn; they are the same at each call."""
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return get_peft_model(a_model(), LoraConfig(r=2, target_modules="all-linear"))


def signals_of_the_core(
    data: Any, *, rounds: int = ROUNDS, script: Sequence[Decision] = SCRIPT, model: Any = None
) -> list[Signals]:
    """Signals of our own loop, with plain SGD, on the same rows and decisions."""
    chunks = [
        Chunk(tokens=part.astype(np.int32), n_bytes=np.ones(CHUNK, dtype=np.int32))
        for part in data.reshape(-1, CHUNK, data.shape[1])
    ]
    learner = CausalLMLearner(model or a_model(), optimizer=OptimizerConfig(name="sgd", momentum=0.0))
    config = LoopConfig(chunk=CHUNK, seq_len=data.shape[1] - 1, cost=COST)
    loop, controller = assemble_loop(iter(chunks), learner, base=BASE, config=config), Scripted(script)
    for _ in range(rounds):
        signals = loop.observe()
        assert signals is not None
        loop.apply(controller.decide(signals))
    return controller.signals


def assert_same_signals(
    found: Sequence[Signals], wanted: Sequence[Signals], *, rel: float = 1e-3, but: Collection[str] = ()
) -> None:
    """All of them but for bits a byte, which need the text, and those named."""
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        for name, value in vars(theirs).items():
            if name == "grad_snr" and value is not None and abs(value) > 1e6:
                assert abs(getattr(mine, name)) > 1e6  # equal examples were drawn: the noise is rounding's
            elif name not in ("loss_bpb", *but):
                approx = pytest.approx(value, rel=rel, abs=1e-5) if isinstance(value, float) else value
                assert getattr(mine, name) == approx, name
