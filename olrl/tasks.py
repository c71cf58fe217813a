"""What a model is to learn: to go on with text, to tell classes apart, or to answer. The parts each task needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.learners.answers import AnswerLearner
from olrl.learners.causal_lm import CausalLMLearner, OptimizerMaker
from olrl.learners.classifier import ClassifierLearner
from olrl.learners.classifier_network import ClassifierNetwork, SequenceNetwork
from olrl.learners.learner import Learner
from olrl.learners.optimizer import OptimizerConfig
from olrl.models.classify import LoadedClassifier, load_classifier
from olrl.models.load import LoadedModel, load_model
from olrl.streams.answers import PAD, AnswerChunker, as_context
from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.labelled import LabelledChunker
from olrl.streams.text_features import check_packed
from olrl.streams.tokens import Tokenizer
from olrl.task_kinds import TaskKind

Loaded = LoadedModel | LoadedClassifier
AnyChunker = Chunker | LabelledChunker | AnswerChunker
MAX_CLASSES = 256


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is learned of documents.

    kind: "lm": their text. "classify": their labels, which are `classes`; with `frozen`, by a head on features of a
    model that does not learn itself, and on `text_features` things at most that stand in a document. "answer":
    their labels as text behind their text.

    >>> Task(kind="classify", classes=("ham", "spam")).frozen
    True
    """

    kind: TaskKind = "lm"
    classes: tuple[str, ...] = ()
    frozen: bool = True
    text_features: int = 0

    def load(self, name: str, *, device: str = "cpu", dtype: str = "float32", lora: Any = None) -> Loaded:
        """The model, ready for the task; a classifier is float32 whatever `dtype` says."""
        if self.kind == "classify":
            return load_classifier(
                name,
                classes=self.classes,
                frozen=self.frozen,
                device=device,
                text_features=self.text_features,
            )
        return load_model(name, device=device, dtype=dtype, lora=lora)

    def chunker(
        self, tokenizer: Tokenizer, *, chunk: int, seq_len: int, dead_letter: DeadLetter | None = None
    ) -> AnyChunker:
        """What cuts documents into chunks of so many rows of so many tokens."""
        if self.kind == "classify":
            return LabelledChunker(
                tokenizer, classes=self.classes, n_documents=chunk, seq_len=seq_len, dead_letter=dead_letter
            )
        if self.kind == "answer":
            return AnswerChunker(tokenizer, n_sequences=chunk, seq_len=seq_len, dead_letter=dead_letter)
        return Chunker(tokenizer, n_sequences=chunk, seq_len=seq_len)


def chunks_of(chunker: AnyChunker, documents: Iterable[Document], loaded: Loaded) -> Iterator[Chunk]:
    """The chunks of a stream, in the form that the task's learner takes."""
    if isinstance(chunker, LabelledChunker):
        assert isinstance(loaded, LoadedClassifier)
        chunks = chunker.chunks(documents)
        return chunks if loaded.encoder is None else loaded.encoder.over(chunks)
    return chunker.chunks(documents)


def learner_of(
    task: Task,
    loaded: Loaded,
    *,
    seq_len: int,
    module: torch.nn.Module | None = None,
    optimizer: OptimizerConfig | OptimizerMaker | None = None,
) -> Learner:
    """A learner of the loaded model, or of `module`, a copy of it; its weights are changed in place."""
    module = module or loaded.model
    if isinstance(loaded, LoadedClassifier):
        return _classifier(loaded, module, seq_len=seq_len, optimizer=optimizer)
    if task.kind == "answer":
        return AnswerLearner(module, optimizer=optimizer)
    return CausalLMLearner(module, optimizer=optimizer)


def _classifier(
    loaded: LoadedClassifier,
    module: torch.nn.Module,
    *,
    seq_len: int,
    optimizer: OptimizerConfig | OptimizerMaker | None,
) -> ClassifierLearner:
    if loaded.encoder is None:
        row, kind = (seq_len + 1,), np.dtype(np.int32)
        network = SequenceNetwork(module)
        return ClassifierLearner(module, network, row=row, dtype=kind, optimizer=optimizer, pass_size=16)
    features = (1 + loaded.encoder.width,)
    head = ClassifierNetwork(module)
    return ClassifierLearner(module, head, row=features, dtype=np.dtype(np.float32), optimizer=optimizer)


def check_rows(rows: NDArray[Any], task: Task, loaded: Loaded) -> None:
    """ValueError if examples, shape (n, …), as a saved memory holds them, are none of this task and model."""
    if not len(rows):
        return
    ids = rows
    if isinstance(loaded, LoadedClassifier):
        if not (0 <= rows[:, 0].min() <= rows[:, 0].max() < len(task.classes)):
            raise ValueError("it holds classes that there are not")
        ids = rows[:, 1:]
        if loaded.encoder is not None:
            if not np.isfinite(ids).all():
                raise ValueError("it holds features that are no numbers")
            if loaded.encoder.text is not None:
                check_packed(ids[:, loaded.encoder.n_features :])
            return
        ids = np.maximum(ids, 0)  # a text that is shorter than its row is padded
    elif task.kind == "answer":
        ids = np.where(rows < PAD, as_context(rows), np.maximum(rows, 0))
    known: Any = loaded.model.config
    if not 0 <= ids.min() <= ids.max() < known.vocab_size:
        raise ValueError("it holds tokens that the model does not know")


def labelled_by_source(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents whose label is where they came from: builtin text, labelled by its domain."""
    return (replace(document, label=document.source) for document in documents)


def find_classes(stream: str, *, follow: bool) -> tuple[str, ...]:
    """The labels that occur in a file or folder, sorted; reads all of it once, and keeps nothing else.

    ValueError, in one sentence, for a stream that cannot be read twice, and for one with fewer than two labels
    or more than 256.
    """
    from olrl.streams.sources import open_source

    kind = stream.partition(":")[0]
    if kind == "builtin":
        documents = labelled_by_source(open_source(stream, dead_letter=DeadLetter(None)))
    elif kind == "scenario":
        documents = open_source(stream, dead_letter=DeadLetter(None))
    elif stream == "-" or follow or kind == "hf" or not Path(stream).exists():
        raise ValueError(
            f"the labels of {stream!r} cannot be read beforehand: name them with --classes A,B,..."
        )
    else:
        documents = open_source(stream, dead_letter=DeadLetter(None), late_labels=True)
    found: set[str] = set()
    for document in documents:
        if document.label is not None:
            found.add(str(document.label))
        if len(found) > MAX_CLASSES:
            raise ValueError(f"{stream!r} has more than {MAX_CLASSES} different labels: is label a class?")
    if len(found) < 2:
        raise ValueError(f"{stream!r} has {len(found)} different labels, and a classifier needs at least two")
    return tuple(sorted(found))
