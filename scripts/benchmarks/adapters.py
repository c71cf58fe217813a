"""What steering a loop by hand adds to its rounds: deciding, and signals of all weights or of LoRA's."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import torch

from olrl.control.controller import Controller
from olrl.control.decision import Base, Decision
from olrl.control.policy import load_policy
from olrl.learners.cost import CostModel
from olrl.models.load import LoadedModel, load_model
from olrl.models.lora import Lora, add_adapters
from olrl.monitor.signals import Signals
from olrl.streams.corpus import cache_folder

from . import models
from .figures import Absent, Figure, Section, Setting, need
from .rounds import endless_chunks

PRETRAINED = "SmolLM2-135M, LoRA r=8, batch of 4"


class _Held(Controller):
    """Has a policy decide and keeps to the base, so that all rounds cost the same."""

    def __init__(self, base: Base) -> None:
        super().__init__(base=base)
        self._policy = load_policy("default").controller(base=base)

    def decide(self, signals: Signals) -> Decision:
        self._policy.decide(signals)
        return self.base.decision()

    def state_dict(self) -> dict[str, Any]:
        return self._policy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._policy.load_state_dict(state)


class _Clock:
    """Processor seconds of calls by name, summed over a round."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def of(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            result = call(*args, **kwargs)
            self.seconds[name] += time.process_time() - started
            return result

        return timed


def _large(setting: Setting, *, lora: bool, batch_size: int) -> Iterator[Figure]:
    loaded = models.load(models.LARGE, setting.scratch)
    config = need("olrl.adapters.steering", "SteeringConfig")()
    return _rounds(loaded, config, lora=lora, batch_size=batch_size, rounds=setting.of(20, 3))


def _pretrained(setting: Setting) -> Iterator[Figure]:
    """A round as in the case study: 4 sequences and 2 probes are scored, and two steps taken over 4."""
    folder = cache_folder() / "smollm2-135m"
    if not folder.is_dir():
        raise Absent("no SmolLM2: python scripts/fetch_smollm2.py")
    config = need("olrl.adapters.steering", "SteeringConfig")(chunk=4, cost=CostModel(budget=16.0), probes=2)
    return _rounds(load_model(str(folder)), config, lora=True, batch_size=4, rounds=setting.of(4, 1))


def _rounds(
    loaded: LoadedModel, config: Any, *, lora: bool, batch_size: int, rounds: int
) -> Iterator[Figure]:
    steered_loop = need("olrl.adapters.plain", "SteeredLoop")
    losses = need("olrl.adapters.losses", "causal_lm_losses")
    model: Any = loaded.model
    if lora:
        add_adapters(model, Lora(r=8))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    clock, controller = _Clock(), _Held(Base(lr=1e-4, batch_size=batch_size, window=8))
    loop = steered_loop(model, optimizer, controller=controller, config=config)
    controller.decide = clock.of("decide", controller.decide)  # type: ignore[method-assign] # measured from outside
    for name, method in (("signals", "signals"), ("signals", "before_step"), ("score", "sequence_losses")):
        setattr(loop.monitor, method, clock.of(name, getattr(loop.monitor, method)))
    taken: list[dict[str, float]] = []
    started = time.process_time()
    rows = chain.from_iterable(chunk.tokens for chunk in endless_chunks(loaded))
    for batch in loop.batches(rows):
        optimizer.zero_grad(set_to_none=True)
        loop.loss(losses(model, batch).mean()).backward()
        optimizer.step()
        if loop.steering.steps_left:
            continue
        taken.append({**clock.seconds, "round": time.process_time() - started})
        if len(taken) > rounds:
            break
        clock.seconds.clear()
        started = time.process_time()
    told = taken[1:]  # the first is warm-up
    yield Figure(name="trained weights", value=sum(p.numel() for p in trained), unit="weights")
    for name in ("round", "score", "decide", "signals"):
        yield Figure(name=f"{name}, processor time", value=_undisturbed(told, name) * 1e3, unit="ms")
    for name in ("decide", "signals"):
        share = _undisturbed(told, name) / _undisturbed(told, "round")
        yield Figure(name=f"{name}: share of a round", value=share, unit="share")


def _undisturbed(told: list[dict[str, float]], name: str) -> float:
    """The lower decile over rounds, as in `clock.seconds`: other programs empty the caches of the others."""
    return sorted(one[name] for one in told)[len(told) // 10]


def _name(lora: bool, batch_size: int) -> str:
    return f"{models.LARGE}, {'LoRA r=8' if lora else 'all weights'}, batch of {batch_size}"


SECTION = Section(
    name="adapters",
    about="what steering adds to a round of a loop by hand in PyTorch",
    parts={
        _name(lora, size): partial(_large, lora=lora, batch_size=size)
        for lora in (False, True)
        for size in (2, 16)
    }
    | {PRETRAINED: _pretrained},
)
