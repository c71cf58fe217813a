"""What a learner has forgotten at a stream's end: its loss on other text of domains that the stream has left."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from olrl.analysis.records import UNIFORM_BPB
from olrl.assembly import LoopConfig, cut_chunks
from olrl.learners.learner import Learner
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.drift import DriftConfig, drift_stream
from olrl.streams.pieces import Split
from olrl.streams.tokens import Tokenizer

HeldOut = Mapping[str, tuple[Chunk, ...]]
# The models that ship were pretrained on training text of some domains, and a stream that is judged is of the test
# split: only validation text is new to both.
SPLIT: Split = "validation"
SEQUENCES = 32  # of each domain
DOCUMENTS = 16  # that these come from
NOW_SHARE = 0.2


def left_behind(chunks: Sequence[Chunk]) -> tuple[str, ...]:
    """Sources of earlier segments that the last one does not go on with, in the order they were first met.

    It goes on with those of at least a fifth of its chunks, the first left out: that is mostly what came before.

    >>> def chunk(source: str, segment: int) -> Chunk:
    ...     return Chunk(tokens=np.zeros((1, 2)), n_bytes=np.ones(1, np.int32), source=source, segment=segment)
    >>> left_behind([chunk("dutch", 0), chunk("recipes", 1), chunk("dutch", 2)])
    ('recipes',)
    """
    if not chunks:
        return ()
    last = [chunk.source for chunk in chunks if chunk.segment == chunks[-1].segment]
    counts = Counter(last[1:] or last)
    now = {source for source, count in counts.items() if count >= NOW_SHARE * counts.total()}
    return tuple(dict.fromkeys(chunk.source for chunk in chunks if chunk.source not in now))


def held_out_for(chunks: Sequence[Chunk], *, tokenizer: Tokenizer, config: LoopConfig) -> HeldOut:
    """32 sequences of validation text of each builtin domain that these chunks leave behind.

    Domains that lie in the test split only have no such text, and are left out.
    """
    sources = left_behind(chunks)
    domains = load_corpus().domains(SPLIT) if sources else ()
    return {name: _text(name, tokenizer, config) for name in sources if name in domains}


def _text(domain: str, tokenizer: Tokenizer, config: LoopConfig) -> tuple[Chunk, ...]:
    longest = 16 * SEQUENCES * config.seq_len  # bytes: enough for 16 a token
    drift = DriftConfig(
        kind="none", n_bytes=longest, domains=(domain,), concurrent=DOCUMENTS, split=SPLIT, seed=0
    )
    chunks = cut_chunks(drift_stream(drift, load_corpus()), tokenizer, config)
    return tuple(islice(chunks, max(1, SEQUENCES // config.chunk)))


def forgetting_bpb(learner: Learner, held_out: HeldOut) -> float | None:
    """Mean over domains of the loss on their text, bits a byte; None without any. Trains on nothing.

    A loss that is not finite, or above the uniform predictor's 8 bits, counts as that.
    """
    losses = [_loss_bpb(learner, chunks) for chunks in held_out.values()]
    return float(np.mean(losses)) if losses else None


def _loss_bpb(learner: Learner, chunks: Sequence[Chunk]) -> float:
    nats = [chunk.nats(learner.score(chunk.tokens)) for chunk in chunks]
    found = sum(nats) / math.log(2) / sum(int(chunk.n_bytes.sum()) for chunk in chunks)
    return min(found, UNIFORM_BPB) if math.isfinite(found) else UNIFORM_BPB
