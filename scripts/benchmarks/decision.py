"""Microseconds of the steps between a round's losses and its decision, on signals of a real loop."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from olrl.control.guard import Guard
from olrl.control.policy import load_policy
from olrl.monitor.features import FeatureExtractor, batch_signals
from olrl.monitor.signals import Signals

from . import models
from .clock import seconds
from .figures import Figure, Section, Setting
from .rounds import a_loop, endless_chunks


def _recorded(setting: Setting) -> list[Signals]:
    """Signals of a real loop under its base."""
    loaded = models.load("pico", setting.scratch)
    loop = a_loop(loaded)
    assert loaded.base is not None, "pico ships its base"
    recorded = []
    for _ in range(setting.of(100, 10)):
        signals = loop.observe()
        assert signals is not None, "the stream is endless"
        recorded.append(signals)
        loop.apply(loaded.base.decision())
    return recorded


def _steps(setting: Setting) -> Iterator[Figure]:
    base = models.load("pico", setting.scratch).base
    assert base is not None, "pico ships its base"
    recorded = _recorded(setting)
    policy, guard = load_policy("default"), Guard(base=base)
    features, controller = FeatureExtractor.for_bases([base]), policy.controller(base=base)
    state, decision = policy.coding.start_at([base]), base.decision()
    batch = batch_signals(recorded[-1:])
    observation = features.update(batch)
    actions = policy.act(observation)
    batches = cycle([batch_signals([signals]) for signals in recorded])
    signals = cycle(recorded)
    calls: dict[str, Callable[[], Any]] = {
        "signals to arrays": lambda: batch_signals([next(signals)]),
        "features": lambda: features.update(next(batches)),
        "policy.act": lambda: policy.act(observation),
        "coding.apply": lambda: policy.coding.apply(state, actions, batch),
        "guard": lambda: guard.check(decision, next(signals)),
        "whole decide": lambda: controller.decide(next(signals)),
        "decide and guard": lambda: guard.check(controller.decide(s := next(signals)), s),
    }
    for name, call in calls.items():
        yield _microseconds(name, call, setting)


def _loop_parts(setting: Setting) -> Iterator[Figure]:
    loaded = models.load("pico", setting.scratch)
    loop = a_loop(loaded)
    assert loaded.base is not None, "pico ships its base"
    decision = loaded.base.decision()
    for _ in range(setting.of(130, 3)):  # so that every window exists and every detector is at work
        loop.observe()
        loop.apply(decision)
    chunk = next(endless_chunks(loaded))
    losses = loop.learner.score(chunk.tokens)
    owner: Any = getattr(loop, "rounds", loop)  # earlier versions had no `Rounds`
    memory = owner.memory
    draw = memory.draw
    calls: dict[str, Callable[[], Any]] = {
        "monitor.measure": lambda: loop.monitor.measure(chunk, losses, losses[:4], in_force=decision),
        "memory.draw, 2 of window 1": lambda: draw(round_=1, window=1, start=0, count=2),
        "memory.draw, 16 of window 64": lambda: draw(round_=1, window=64, start=0, count=16),
        "memory.draw, 16 of the reservoir": lambda: draw(round_=1, window=0, start=0, count=16),
        "memory.add": lambda: memory.add(chunk.tokens),
    }
    for name, call in calls.items():
        yield _microseconds(name, call, setting)


def _microseconds(name: str, call: Callable[[], Any], setting: Setting) -> Figure:
    return Figure(name=name, value=seconds(call, calls=setting.of(4000, 5)) * 1e6, unit="µs")


SECTION = Section(
    name="decision", about="the steps of a decision", parts={"decide": _steps, "loop": _loop_parts}
)
