"""What text features beside a model's embedding are worth on streams of labels: a table, as Markdown.

The head of `olrl run --task classify`, in the base's hands, on the same documents in the same order: with the
embedding alone, with features chosen once, with features chosen anew, and with all 2,048 buckets. Orders are
versions 0, 1 and 2 of a scenario (reorderings of the same texts); of `swapped` the classes negative and positive
change places halfway: a label drift. `python scripts/text_features.py --scenario sentiment --features 64`.
"""

import argparse
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from olrl.assembly import LoopConfig, assemble_rounds
from olrl.labelled_loop import LabelledLoop
from olrl.learners.classifier import ClassifierLearner
from olrl.models.classify import FROZEN_BASE, LoadedClassifier
from olrl.models.text_head import TextHead
from olrl.monitor.text_selection import SelectionSettings, TextSelection
from olrl.streams.chunk import Chunk
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.scenarios import SCENARIOS
from olrl.streams.sources import open_source
from olrl.tasks import Task, chunks_of, learner_of

ORDERS = ("0", "1", "2")
ONCE = SelectionSettings(period=None)
VARIANTS = ("embedding", "chosen once", "chosen anew", "all buckets")
OTHER_WAY = {"negative": "positive", "positive": "negative"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one run came to: bits per label and share of right answers, from round 1 on, and how it chose."""

    bits: float
    accuracy: float
    reasons: tuple[str, ...]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenario", choices=("sentiment", "swapped", "conditions"), default="sentiment")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--orders", nargs="+", default=list(ORDERS))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--period", type=int, default=SelectionSettings.period)
    parser.add_argument("--kept", type=float, default=SelectionSettings.kept)
    parser.add_argument("--lr", type=float, default=FROZEN_BASE.lr)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenario = SCENARIOS["sentiment" if asked.scenario == "swapped" else asked.scenario]
    task = Task(kind="classify", classes=scenario.classes, text_features=asked.features)
    loaded = task.load(asked.model)
    assert isinstance(loaded, LoadedClassifier)
    config = LoopConfig(chunk=16, seq_len=scenario.seq_len or loaded.seq_len)
    settings = SelectionSettings(period=asked.period, kept=asked.kept)
    found: dict[str, list[Found]] = {name: [] for name in VARIANTS}
    for order in asked.orders:
        documents = open_source(f"scenario:{scenario.name}/{order}", dead_letter=DeadLetter(None), late_labels=True)
        chunker = task.chunker(loaded.tokenizer, chunk=16, seq_len=config.seq_len)
        chunks = list(chunks_of(chunker, _swapped(documents) if asked.scenario == "swapped" else documents, loaded))
        for name in VARIANTS:
            learner = _learner(task, loaded, config)
            found[name].append(_run(chunks, learner, config, _selection(name, learner, settings), lr=asked.lr))
    _print(found)


def _learner(task: Task, loaded: LoadedClassifier, config: LoopConfig) -> ClassifierLearner:
    assert loaded.encoder is not None
    head = TextHead(loaded.encoder.n_features, len(task.classes), most=task.text_features)
    for weights in head.parameters():
        torch.nn.init.zeros_(weights)
    learner = learner_of(task, loaded, module=head, seq_len=config.seq_len)
    assert isinstance(learner, ClassifierLearner)
    return learner


def _selection(name: str, learner: ClassifierLearner, settings: SelectionSettings) -> TextSelection | None:
    head = learner.model
    assert isinstance(head, TextHead)
    if name == "all buckets":
        head.let_through(np.ones(len(head.mask), dtype=np.bool_))
    if not name.startswith("chosen"):
        return None
    how = replace(settings, period=None) if name == "chosen once" else settings
    return TextSelection(most=head.most, n_classes=head.out_features, settings=how)


def _run(
    chunks: list[Chunk], learner: ClassifierLearner, config: LoopConfig, selection: TextSelection | None, *, lr: float
) -> Found:
    base = replace(FROZEN_BASE, lr=lr)
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


def _swapped(documents: Iterable[Document]) -> Iterator[Document]:
    """Negative and positive change places from the middle on."""
    whole = list(documents)
    half = len(whole) // 2
    yield from islice(whole, half)
    for document in whole[half:]:
        yield replace(document, label=OTHER_WAY.get(str(document.label), document.label))


def _print(found: dict[str, list[Found]]) -> None:
    print("| beside the embedding | bits per label | by order | accuracy | by order | chosen anew |")
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
