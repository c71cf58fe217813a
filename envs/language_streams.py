"""The drifting streams of text that language-model environments run on, and the references' losses on them."""

import copy
from collections.abc import Iterable
from itertools import islice

from olrl.assembly import LoopConfig, cut_chunks
from olrl.control.decision import Base
from olrl.learners.optimizer import OptimizerConfig
from olrl.models.load import LoadedModel
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import drift_stream
from olrl.streams.suite import SuiteConfig

from .reference import References

KEPT_BYTES = 256 * 2**20  # of chunks: a stream takes as long to make anew as some twenty rounds


class LanguageStreams:
    """Streams of a suite by number: chunks, one more than rounds, and the reference's loss on each.

    The newest chunks are kept, up to `KEPT_BYTES`.
    """

    def __init__(
        self,
        suite: SuiteConfig,
        loaded: LoadedModel,
        *,
        fixed: Base,
        config: LoopConfig,
        optimizer: OptimizerConfig,
        rounds: int,
    ) -> None:
        self._corpus = load_corpus()
        self._suite = suite
        self._tokenizer = loaded.tokenizer
        self._config = config
        self.optimizer = optimizer
        self._rounds = rounds
        model = copy.deepcopy(loaded.model)  # a learner's training would change the one that was loaded
        self._references = References(model, fixed=fixed, config=config, optimizer=optimizer)
        self._chunks: dict[int, tuple[Chunk, ...]] = {}
        self._losses: dict[int, tuple[float, ...]] = {}

    def prepare(self, numbers: Iterable[int]) -> None:
        """Find or make what these streams need: references that are missing are run side by side."""
        missing = sorted({number for number in numbers if number not in self._losses})
        if missing:
            chunks = [self.chunks(number) for number in missing]
            self._losses |= zip(missing, self._references.losses(chunks, seeds=missing), strict=True)

    def chunks(self, number: int) -> tuple[Chunk, ...]:
        """The chunks of a stream."""
        if number not in self._chunks:
            documents = drift_stream(self._suite.stream(number, self._corpus), self._corpus)
            chunks = tuple(islice(cut_chunks(documents, self._tokenizer, self._config), self._rounds + 1))
            kept = max(1, KEPT_BYTES // (len(chunks) * chunks[0].tokens.nbytes))
            while len(self._chunks) >= kept:
                self._chunks.pop(next(iter(self._chunks)))
            self._chunks[number] = chunks
        return self._chunks[number]

    def reference(self, number: int) -> tuple[float, ...]:
        """Loss of the reference on each chunk, nats per token."""
        self.prepare([number])
        return self._losses[number]
