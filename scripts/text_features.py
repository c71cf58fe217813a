"""What text features beside a model's embedding are worth on streams of labels: a table, as Markdown.

The head of `olrl run --task classify`, in the base's hands, on the same documents in the same order: with the
embedding alone, with features chosen once, with features chosen anew, and with all 2,048 buckets. Orders are
versions 0, 1 and 2 of a scenario (reorderings of the same texts); of `swapped` the classes negative and positive
change places halfway: a label drift. `python scripts/text_features.py`.
"""

import argparse
import copy
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.assembly import LoopConfig, assemble_rounds
from olrl.labelled_loop import LabelledLoop
from olrl.learners.classifier import ClassifierLearner
from olrl.models.classify import FROZEN_BASE, LoadedClassifier
from olrl.models.text_head import TextHead
from olrl.monitor.text_selection import SelectionSettings, TextSelection
from olrl.streams.chunk import Chunk
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.labelled import LabelledChunk, LabelledChunker
from olrl.streams.scenarios import SCENARIOS
from olrl.streams.sources import open_source
from olrl.streams.text_features import BUCKETS
from olrl.tasks import Task, learner_of

ONCE = SelectionSettings(period=None)
OTHER_WAY = {"negative": "positive", "positive": "negative"}
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one run came to: bits per label and share of right answers, from round 1 on, and why it chose."""

    bits: float
    accuracy: float
    reasons: tuple[str, ...]


def main() -> None:
    """Measure and print; each run as it is done on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = ("sentiment", "swapped", "conditions")
    parser.add_argument("--scenarios", nargs="+", choices=names, default=names)
    parser.add_argument("--features", nargs="+", type=int, default=[64])
    parser.add_argument("--orders", nargs="+", default=["0", "1", "2"])
    parser.add_argument("--model", default="nano")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[Found]]] = {name: {} for name in asked.scenarios}
    for order in asked.orders:
        for name in asked.scenarios:
            for variant, run in _runs(name, order, asked.model, asked.features):
                found[name].setdefault(variant, []).append(run)
                print(f"{name} {order} {variant}: {run}", file=sys.stderr, flush=True)
    for name in asked.scenarios:
        _print(name, found[name])


def _runs(name: str, order: str, model: str, features: list[int]) -> Iterator[tuple[str, Found]]:
    """Every variant on one stream."""
    task, loaded, config, chunks = _stream(
        "sentiment" if name == "swapped" else name, order, model, max(features)
    )
    chunks = _swapped(chunks, task.classes) if name == "swapped" else chunks
    fixed = {"embedding": np.zeros(BUCKETS, dtype=np.bool_), "all buckets": np.ones(BUCKETS, dtype=np.bool_)}
    for variant, seen in fixed.items():
        learner, head = _learner(task, loaded, config)
        head.let_through(seen)
        yield variant, _run(chunks, learner, config, None)
    for most in features:
        for variant, settings in (
            (f"{most} chosen once", ONCE),
            (f"{most} chosen anew", SelectionSettings()),
        ):
            learner, head = _learner(task, loaded, config)
            selection = TextSelection(most=most, n_classes=head.out_features, settings=settings)
            yield variant, _run(chunks, learner, config, selection)


@lru_cache(maxsize=1)
def _stream(
    name: str, order: str, model: str, most: int
) -> tuple[Task, LoadedClassifier, LoopConfig, list[LabelledChunk]]:
    """The chunks of a scenario in one order, with all features, and what goes with them."""
    scenario = SCENARIOS[name]
    task = Task(kind="classify", classes=scenario.classes, text_features=most)
    loaded = _loaded(task, model)
    config = LoopConfig(chunk=CHUNK, seq_len=scenario.seq_len or loaded.seq_len)
    documents = open_source(f"scenario:{name}/{order}", dead_letter=DeadLetter(None), late_labels=True)
    chunker = LabelledChunker(
        loaded.tokenizer, classes=task.classes, n_documents=CHUNK, seq_len=config.seq_len
    )
    assert loaded.encoder is not None
    return task, loaded, config, list(loaded.encoder.over(chunker.chunks(documents)))


@lru_cache(maxsize=1)
def _loaded(task: Task, model: str) -> LoadedClassifier:
    loaded = task.load(model)
    assert isinstance(loaded, LoadedClassifier)
    return loaded


def _learner(task: Task, loaded: LoadedClassifier, config: LoopConfig) -> tuple[ClassifierLearner, TextHead]:
    """A learner that knows nothing, and the head that is its model."""
    head = copy.deepcopy(loaded.model)
    learner = learner_of(task, loaded, module=head, seq_len=config.seq_len)
    assert isinstance(learner, ClassifierLearner)
    assert isinstance(head, TextHead)
    return learner, head


def _run(
    chunks: Sequence[Chunk], learner: ClassifierLearner, config: LoopConfig, selection: TextSelection | None
) -> Found:
    base = FROZEN_BASE
    rounds = assemble_rounds(iter(chunks), base=base, config=config, row=learner.row, dtype=learner.dtype)
    loop = LabelledLoop(rounds, learner, selection=selection)
    records = []
    while loop.observe() is not None:
        records.append(loop.apply(base.decision()))
    nats = [record.loss_nats for record in records[1:]]
    right = [record.signals.metric for record in records[1:]]
    reasons = [record.reselected.reason for record in records if record.reselected is not None]
    return Found(
        bits=float(np.mean([each for each in nats if each is not None])) / math.log(2),
        accuracy=float(np.mean([each for each in right if each is not None])),
        reasons=tuple(reasons),
    )


def _swapped(chunks: list[LabelledChunk], classes: tuple[str, ...]) -> list[LabelledChunk]:
    """Negative and positive change places from the middle on."""
    places = {name: k for k, name in enumerate(classes)}
    other = np.array([places[OTHER_WAY.get(name, name)] for name in classes])
    half = len(chunks) // 2
    return [*chunks[:half], *(_relabelled(chunk, other) for chunk in chunks[half:])]


def _relabelled(chunk: LabelledChunk, other: NDArray[np.int64]) -> LabelledChunk:
    rows = chunk.tokens.copy()
    rows[:, 0] = other[rows[:, 0].astype(np.int64)]
    return replace(chunk, tokens=rows)


def _print(scenario: str, found: dict[str, list[Found]]) -> None:
    print(f"\n| {scenario} | bits per label | by order | accuracy | by order | chosen anew |")
    print("|---|---|---|---|---|---|")
    for name, runs in found.items():
        bits, right = [run.bits for run in runs], [run.accuracy for run in runs]
        reasons = [reason for run in runs for reason in run.reasons]
        told = ", ".join(f"{reasons.count(each)} × {each}" for each in sorted(set(reasons))) or "-"
        print(
            f"| {name} | {np.mean(bits):.4f} | {', '.join(f'{each:.4f}' for each in bits)} "
            f"| {np.mean(right):.2%} | {', '.join(f'{each:.2%}' for each in right)} | {told} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
