"""What learners meet on a stream: its chunks, the constant they are compared with, and loops that play it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from olrl.assembly import LoopConfig, assemble_rounds
from olrl.control.coding import Decisions
from olrl.control.decision import Base
from olrl.envs.online_lm import OnlineLMEnv, Replay
from olrl.envs.stacked_loops import StackedLoops
from olrl.learners.optimizer import OptimizerConfig
from olrl.loop import RoundRecord
from olrl.models.load import LoadedModel
from olrl.monitor.signals import Signals
from olrl.streams.chunk import Chunk
from olrl.streams.suite import HOME


class Loops(Protocol):
    """n loops on the same chunks, a round being `observe`, then `train`."""

    def observe(self, which: NDArray[np.int64]) -> list[Signals]:
        """Score the next chunk with each of these, and measure."""

    def train(self, decisions: Decisions) -> list[RoundRecord]:
        """Train every loop under its decision."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A stream to look back on, one chunk longer than there are decisions.

    `fixed` is the constant that costs are relative to, `loop` what a loop is by default, its seed the stream's.
    `familiar` says of each decision whether the chunk observed last is text that the model was pretrained on.
    `loops` makes loops at their start, one of each base and configuration.
    """

    chunks: Sequence[Chunk]
    fixed: Base
    loop: LoopConfig
    familiar: Sequence[bool]
    loops: Callable[[Sequence[Base], Sequence[LoopConfig]], Loops]


def text_grounds(env: OnlineLMEnv) -> Callable[[int], Ground]:
    """The streams of an environment by number."""
    fixed = env.loaded.fixed
    assert fixed is not None, "the environment has checked"

    def ground(number: int) -> Ground:
        chunks = env.streams.chunks(number)
        return Ground(
            chunks=chunks,
            fixed=fixed,
            loop=replace(env.config, seed=number),
            # Streams are of the training split, as was what models were pretrained on.
            familiar=[chunk.source in HOME for chunk in chunks],
            loops=stacked(env.loaded, chunks, env.streams.optimizer),
        )

    return ground


def stacked(
    loaded: LoadedModel, chunks: Sequence[Chunk], optimizer: OptimizerConfig
) -> Callable[[Sequence[Base], Sequence[LoopConfig]], StackedLoops]:
    """Makes loops whose learners of a language model are trained side by side."""

    def make(bases: Sequence[Base], configs: Sequence[LoopConfig]) -> StackedLoops:
        n = len(bases)
        loops = StackedLoops(loaded.model, n, optimizer=optimizer, seq_len=configs[0].seq_len)
        rounds = [
            assemble_rounds(Replay(chunks), base=base, config=config)
            for base, config in zip(bases, configs, strict=True)
        ]
        loops.begin(np.arange(n), rounds, bases)
        return loops

    return make
