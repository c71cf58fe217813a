"""What a round costs beside the learner's own work."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from olrl.assembly import LoopConfig, assemble_loop, cut_chunks
from olrl.control.decision import Base
from olrl.control.guard import Guard
from olrl.control.policy import load_policy
from olrl.learners.causal_lm import CausalLMLearner
from olrl.loop import OnlineLoop
from olrl.models.load import LoadedModel
from olrl.streams.chunk import Chunk
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.sources import open_source

from . import bare_learner as bare
from . import models
from .clock import alternating, ratio
from .figures import Figure, Section, Setting, need
from .written import writer

STAY = np.array([1, 1, 1, 1])
# The base is the tuned configuration and stays in force; nothing else is drawn.
PLAIN_EPISODE: dict[str, Any] = {
    "base_lr_octaves": 0.0,
    "base_free": 0.0,
    "update_cost": (4.0, 4.0),
    "price": (0.0, 0.0),
    "mask_probability": 0.0,
}


def endless_chunks(loaded: LoadedModel) -> Iterator[Chunk]:
    """Chunks of builtin text, over and over."""
    for seed in count():
        documents = open_source("builtin:abrupt", dead_letter=DeadLetter(None), seed=seed)
        yield from cut_chunks(documents, loaded.tokenizer, LoopConfig(seq_len=bare.LENGTH))


def a_loop(loaded: LoadedModel) -> OnlineLoop:
    """The loop of a deployed run at the model's base."""
    base = loaded.base or Base(lr=1e-3)
    config = LoopConfig(chunk=bare.CHUNK, seq_len=bare.LENGTH)
    return assemble_loop(endless_chunks(loaded), CausalLMLearner(loaded.model), base=base, config=config)


class _Steered:
    """A deployed round with policy, guard and all that is written, the base in force; counts its seconds."""

    def __init__(self, loaded: LoadedModel, folder: Path) -> None:
        self.base = loaded.base or Base(lr=1e-3)
        self.loop = a_loop(loaded)
        self.controller = load_policy("default").controller(base=self.base)
        self.guard = Guard(base=self.base)
        self.write, self.close = writer(folder)
        self.seconds: dict[str, list[float]] = {"control": [], "monitor": [], "tracking": []}
        self.loop.monitor.measure = self._timed("monitor", self.loop.monitor.measure)  # type: ignore[method-assign] # measured from outside

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = call(*args, **kwargs)
            self.seconds[name].append(time.perf_counter() - started)
            return result

        return timed

    def round(self) -> None:
        signals = self.loop.observe()
        assert signals is not None, "the stream is endless"
        started = time.perf_counter()
        self.controller.decide(signals)
        decision, reason = self.guard.check(self.base.decision(), signals)
        self.seconds["control"].append(time.perf_counter() - started)
        record = self.loop.apply(decision)
        self._timed("tracking", self.write)(record, reason)


def _model(name: str, setting: Setting) -> Iterator[Figure]:
    blocks, length = setting.of(12 if name == models.LARGE else 40, 1), setting.of(2, 2)
    bare_model = models.load(name, setting.scratch)
    base = bare_model.base or Base(lr=1e-3)
    plain = bare.BareLearner(bare_model.model, base)
    chunk = bare.a_chunk()
    batches = bare.the_batches(base, chunk)
    env = need("olrl.envs.online_lm", "OnlineLMEnv")(
        model=models.where(name, setting.scratch),
        rounds=blocks * length + 2,
        n_streams=1,
        ranges=PLAIN_EPISODE,
    )
    env.reset(seed=0)
    steered = _Steered(models.load(name, setting.scratch), setting.scratch / f"round-{name}-{time.time_ns()}")
    calls: dict[str, Callable[[], Any]] = {
        "bare round": lambda: plain.round(chunk, batches),
        "environment": lambda: env.step(STAY),
        "deployed": steered.round,
    }
    for call in calls.values():  # warm
        call()
    taken = alternating(calls, blocks=blocks, length=length)
    steered.close()
    for clock, by_call in taken.items():
        for what, values in by_call.items():
            yield Figure(name=f"{what}, {clock} time", value=median(values) * 1e3, unit="ms")
        for what in ("environment", "deployed"):
            share = ratio(by_call, what, "bare round")
            yield Figure(name=f"{what} / bare, {clock} time", value=share, unit="ratio")
    whole = median(taken["processor"]["deployed"])
    for what, values in steered.seconds.items():
        yield Figure(name=what, value=median(values) * 1e6, unit="µs")
        yield Figure(name=f"{what}: share of a deployed round", value=median(values) / whole, unit="share")


SECTION = Section(
    name="round",
    about="a round of the environment and of a deployed run against the bare learner's",
    parts={name: partial(_model, name) for name in models.SIZES},
)
