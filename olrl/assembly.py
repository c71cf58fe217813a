"""Putting the parts of a language model's online loop together, the same way everywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from olrl.control.decision import Base
from olrl.labelled_loop import LabelledLoop
from olrl.learners.classifier import ClassifierLearner
from olrl.learners.cost import CostModel
from olrl.learners.learner import Learner
from olrl.learners.poisson import PoissonSampling
from olrl.loop import OnlineLoop, Rounds
from olrl.memory import Memory
from olrl.models.text_head import TextHead
from olrl.monitor.detectors import DetectorBank
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.monitor import LoopMonitor
from olrl.monitor.text_selection import TextSelection
from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.document import Document
from olrl.streams.text_features import BUCKETS
from olrl.streams.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What a loop is beside its stream, its learner and its controller.

    `chunk` sequences of `seq_len` predicted tokens arrive a round; a round may spend `cost.budget` units;
    `price` is what one whole budget is worth, relative to the running loss; `seed` keys the draws from memory;
    signals named in `masked` are reported as missing.
    """

    chunk: int = 16
    seq_len: int = 64
    cost: CostModel = CostModel()
    price: float = 0.0
    probes: int = 4
    seed: int = 0
    masked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("chunk", "seq_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")


def cut_chunks(documents: Iterable[Document], tokenizer: Tokenizer, config: LoopConfig) -> Iterator[Chunk]:
    """The chunks of a stream of documents, one a round."""
    return Chunker(tokenizer, n_sequences=config.chunk, seq_len=config.seq_len).chunks(documents)


def assemble_rounds(
    chunks: Iterator[Chunk],
    *,
    base: Base,
    config: LoopConfig,
    row: tuple[int, ...] | None = None,
    dtype: DTypeLike = np.int32,
) -> Rounds:
    """The rounds of a loop on a stream of chunks, with memory and monitor.

    Rows are token sequences, or of the shape and kind that a learner says.
    """
    memory = Memory(
        chunk_size=config.chunk, example_shape=row or (config.seq_len + 1,), dtype=dtype, seed=config.seed
    )
    monitor = LoopMonitor(
        detectors=DetectorBank(),
        histograms=TokenHistograms(),
        cost=config.cost,
        price=config.price,
        masked=config.masked,
    )
    return Rounds(
        stream=chunks, memory=memory, monitor=monitor, base=base, cost=config.cost, probes=config.probes
    )


def assemble_loop(
    chunks: Iterator[Chunk],
    learner: Learner,
    *,
    base: Base,
    config: LoopConfig,
    sampling: PoissonSampling | None = None,
) -> OnlineLoop:
    """The loop of a learner on a stream of chunks of its kind."""
    if isinstance(learner, ClassifierLearner):
        rounds = assemble_rounds(chunks, base=base, config=config, row=learner.row, dtype=learner.dtype)
        return LabelledLoop(rounds, learner, selection=_selection(learner))
    return OnlineLoop(assemble_rounds(chunks, base=base, config=config), learner, sampling=sampling)


def _selection(learner: ClassifierLearner) -> TextSelection | None:
    """What chooses text features for a head that takes some, and not all there are."""
    head = learner.model
    if not isinstance(head, TextHead) or head.most >= BUCKETS:
        return None
    return TextSelection(most=head.most, n_classes=head.out_features)
