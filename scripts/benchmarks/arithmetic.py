"""How much of the processor's arithmetic a round reaches.

Operations are 2 a weight and scored token and 6 a weight and trained token; attention's own products, which
are few at 64 tokens, are left out. Shares are of the rate at which torch multiplies matrices of the model's
shapes on one thread: 256 tokens by its width by the 256 logits, and 128 tokens (a batch of two) by its width by
three times that. All times here are processor time of the one thread.
"""

import time
from collections.abc import Iterator
from functools import partial

import torch

from olrl.control.decision import Base

from . import bare_learner as bare
from . import models
from .clock import seconds
from .figures import Figure, Part, Section, Setting, need


def _multiply_gflops(rows: int, inner: int, columns: int, setting: Setting) -> float:
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    out = torch.empty(rows, columns)
    taken = seconds(lambda: torch.mm(a, b, out=out), calls=setting.of(5000, 50), clock=time.process_time)
    return 2e-9 * rows * inner * columns / taken


def _multiplication(setting: Setting) -> Iterator[Figure]:
    shapes = [(256, width, 256) for width in models.WIDTHS.values()]
    shapes += [(128, width, 3 * width) for width in models.WIDTHS.values()]
    for rows, inner, columns in (*shapes, (1024, 1024, 1024)):
        if rows == 1024 and setting.quick:
            continue
        calls = setting if rows < 1024 else Setting(quick=True, documents=0, scratch=setting.scratch)
        rate = _multiply_gflops(rows, inner, columns, calls)
        yield Figure(name=f"{rows}x{inner}x{columns}", value=rate, unit="GFLOPS")


def _model(name: str, setting: Setting) -> Iterator[Figure]:
    width = models.WIDTHS[name]
    reachable = max(
        _multiply_gflops(256, width, 256, setting), _multiply_gflops(128, width, 3 * width, setting)
    )
    loaded = models.load(name, setting.scratch)
    base: Base = loaded.base or Base(lr=1e-3)
    size = models.parameters(loaded)
    yield Figure(name="parameters", value=size, unit="weights")
    chunk = bare.a_chunk()
    batches = bare.the_batches(base, chunk)
    plain = bare.BareLearner(loaded.model, base)
    forward, training = bare.forward_flops(size, chunk), bare.training_flops(size, batches)
    each = training / len(batches)
    learner = need("olrl.learners.causal_lm", "CausalLMLearner")(models.load(name, setting.scratch).model)
    decision = base.decision()

    def learner_round() -> None:
        learner.score(chunk)
        learner.update(iter(batches), decision)

    measured = {
        "plain forward, 16 sequences": (forward, lambda: plain.score(chunk)),
        f"plain forward and backward, batch {base.batch_size}": (each, lambda: plain.backward(batches[0])),
        "bare round": (forward + training, lambda: plain.round(chunk, batches)),
        "learner's round": (forward + training, learner_round),
    }
    for what, (flops, call) in measured.items():
        taken = seconds(call, calls=setting.of(60, 1), clock=time.process_time)
        yield Figure(name=what, value=taken * 1e3, unit="ms")
        yield Figure(name=f"{what}: reached", value=flops / taken * 1e-9, unit="GFLOPS")
        yield Figure(name=f"{what}: share", value=flops / taken * 1e-9 / reachable, unit="of the rate")


_PARTS: dict[str, Part] = {"multiplication": _multiplication}
_PARTS |= {name: partial(_model, name) for name in models.SIZES}
SECTION = Section(name="arithmetic", about="the share of the processor's arithmetic reached", parts=_PARTS)
