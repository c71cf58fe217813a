"""Streams of labels to learn control from, beside drifting text: snippets of builtin text by domain.

All of it is of the training split. The scenarios with labels, `sentiment` and `conditions`, have no part in it.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice

import numpy as np

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.decision import Base
from olrl.envs.online_lm import Replay
from olrl.models.classify import LoadedClassifier
from olrl.streams.chunk import Chunk
from olrl.streams.corpus import load_corpus
from olrl.streams.document import Document
from olrl.streams.labels import LabelChanges, change_labels
from olrl.tasks import Task, chunks_of, learner_of

from .grounds import Ground
from .separate_loops import SeparateLoops

MODELS = ("pico", "nano")  # a head learns on features of one of these
CHUNK = 16  # labels a round
CLASSES = (2, 7)  # labels to tell apart, fewest and most
# Characters: the ranges that the lengths of a stream's snippets are drawn from.
SHORTEST, LONGEST = (10, 40), (60, 240)
STRETCH = (60, 400)  # documents for which classes keep their shares
# Shares are drawn from Dirichlet's distribution with one of these: few classes at a time, any, all alike.
SHARES = (0.3, 1.0, 5.0)
WRONG = (0.0, 0.0, 0.1, 0.25, 0.4)  # share of labels that are another class
LATE, LATE_SHARE = (16, 96), 0.4  # documents between one and its label, on that share of streams
SEQ_LENS = (140, 256)  # tokens of a document that are looked at


@dataclass(frozen=True, kw_only=True)
class LabelStream:
    """A stream of labelled documents, the task, and whose features a head learns on."""

    documents: Iterator[Document]
    task: Task
    model: str
    seq_len: int


def label_stream(number: int, rounds: int) -> LabelStream:
    """Stream `number`, with documents for more than `rounds` rounds.

    How many classes there are, how long snippets are, how many labels are wrong and whether they come late is
    drawn for each stream, and within it shares of the classes anew every 60 to 400 documents.

    >>> label_stream(0, 10).task.kind, len(label_stream(0, 10).task.classes) >= 2
    ('classify', True)
    """
    rng = np.random.default_rng([number, 0x1A])
    domains = load_corpus().domains("train")
    chosen = rng.permutation(len(domains))[: int(rng.integers(*CLASSES, endpoint=True))]
    classes = tuple(domains[k] for k in sorted(chosen))
    wrong, late = float(rng.choice(WRONG)), LATE if rng.random() < LATE_SHARE else (0, 0)
    lengths = int(rng.integers(*SHORTEST)), int(rng.integers(*LONGEST))
    model, seq_len = str(rng.choice(MODELS)), int(rng.choice(SEQ_LENS))
    enough = CHUNK * (rounds + 2) + LATE[1]
    changes = LabelChanges(wrong=wrong, late=late, seed=number)
    return LabelStream(
        documents=change_labels(islice(_snippets(rng, classes, lengths), enough), changes, classes=classes),
        task=Task(kind="classify", classes=classes),
        model=model,
        seq_len=seq_len,
    )


def _snippets(
    rng: np.random.Generator, classes: Sequence[str], lengths: tuple[int, int]
) -> Iterator[Document]:
    texts = [[one.text for one in load_corpus().documents(name, "train")] for name in classes]
    for segment in count():
        shares = rng.dirichlet(np.full(len(classes), float(rng.choice(SHARES))))
        for k in rng.choice(len(classes), size=int(rng.integers(*STRETCH)), p=shares):
            text = texts[k][int(rng.integers(len(texts[k])))]
            start = int(rng.integers(max(1, len(text) - lengths[1])))
            snippet = text[start : start + int(rng.integers(*lengths))]
            yield Document(text=snippet, label=classes[k], source=classes[k], segment=segment)


def label_grounds(rounds: int) -> Callable[[int], Ground]:
    """Streams of labels by number, of `rounds` decisions each."""

    @lru_cache(maxsize=1)  # all runs on a stream are made one after the other, and features take seconds
    def ground(number: int) -> Ground:
        what = label_stream(number, rounds)
        loaded = _loaded(what.task, what.model)
        chunker = what.task.chunker(loaded.tokenizer, chunk=CHUNK, seq_len=what.seq_len)
        chunks = tuple(islice(chunks_of(chunker, what.documents, loaded), rounds + 1))
        assert loaded.base is not None, "a head on a frozen encoder has one"
        return Ground(
            chunks=chunks,
            fixed=loaded.base,
            loop=LoopConfig(chunk=CHUNK, seq_len=what.seq_len, seed=number),
            familiar=[False] * len(chunks),
            loops=_heads(what, loaded, chunks),
        )

    return ground


def _heads(
    what: LabelStream, loaded: LoadedClassifier, chunks: Sequence[Chunk]
) -> Callable[[Sequence[Base], Sequence[LoopConfig]], SeparateLoops]:
    """Makes loops in each of which a head of its own learns."""

    def make(bases: Sequence[Base], configs: Sequence[LoopConfig]) -> SeparateLoops:
        loops = []
        for base, config in zip(bases, configs, strict=True):
            module = copy.deepcopy(loaded.model)
            learner = learner_of(what.task, loaded, seq_len=what.seq_len, module=module)
            loops.append(assemble_loop(Replay(chunks), learner, base=base, config=config))
        return SeparateLoops(loops, bases)

    return make


@lru_cache(maxsize=2)
def _loaded(task: Task, model: str) -> LoadedClassifier:
    loaded = task.load(model)
    assert isinstance(loaded, LoadedClassifier)
    return loaded
