"""What a classifier's loop promises: no prediction was made by weights that had seen its label."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from olrl.assembly import LoopConfig, assemble_loop
from olrl.control.decision import Base
from olrl.labelled_loop import LabelledLoop
from olrl.learners.classifier import ClassifierLearner
from olrl.learners.classifier_network import ClassifierNetwork
from olrl.loop import RoundRecord
from olrl.streams.document import Document
from olrl.streams.labelled import LabelledChunk, LabelledChunker
from olrl.streams.labels import LabelChanges, change_labels
from olrl.streams.tokens import ByteTokenizer

CLASSES = ("ham", "spam")
BASE = Base(lr=0.05, batch_size=4, window=4)
CONFIG = LoopConfig(chunk=4, seq_len=8)


class CountBytes(torch.nn.Module):
    """A linear head over which of 128 bytes occur in a text."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(128, 2)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        features = torch.zeros(len(tokens), 129).scatter_(1, tokens.clamp(min=-1) % 129, 1.0)[:, :128]
        logits: torch.Tensor = self.head(features)
        return logits


def learner() -> ClassifierLearner:
    module = CountBytes()
    return ClassifierLearner(module, ClassifierNetwork(module), row=(9,), dtype=np.dtype(np.int32))


def documents(count: int = 120) -> Iterator[Document]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        label = int(rng.integers(2))
        letters = "abcdefgh" if label else "efghijkl"
        yield Document(text="".join(rng.choice(list(letters), size=6)), label=CLASSES[label])


def chunks(late: tuple[int, int] = (0, 0)) -> Iterator[LabelledChunk]:
    changed = change_labels(documents(), LabelChanges(late=late, seed=1), classes=CLASSES)
    chunker = LabelledChunker(ByteTokenizer(), classes=CLASSES, n_documents=4, seq_len=8)
    return chunker.chunks(changed)


def play(loop: Any, rounds: int | None = None) -> list[RoundRecord]:
    records: list[RoundRecord] = []
    while rounds is None or len(records) < rounds:
        if loop.observe() is None:
            break
        records.append(loop.apply(BASE.decision()))
    return records


def test_signals_tell_accuracy_and_no_bits_per_byte() -> None:
    records = play(assemble_loop(chunks(), learner(), base=BASE, config=CONFIG))
    assert len(records) == 30
    assert all(r.loss_bpb is None and r.loss_nats is not None for r in records)
    assert records[0].signals.loss_nats == np.float64(np.log(2)).astype(np.float32)
    late = [r.signals.metric for r in records[-10:] if r.signals.metric is not None]
    assert np.mean(late) > 0.85
    hits = [sum(n for a, b, n in r.judged if a == b) / 4 for r in records]
    assert hits == [r.signals.metric for r in records]
    assert all(r.signals.hist_shift is not None and r.signals.old_new_gap is not None for r in records[1:])


def test_a_late_label_is_judged_by_the_prediction_of_its_arrival() -> None:
    """Replayed by hand: each prediction is kept from the round of arrival, under the weights of then."""
    mine = learner()
    loop = assemble_loop(chunks((6, 20)), mine, base=BASE, config=CONFIG)
    assert isinstance(loop, LabelledLoop)
    made: dict[int, Any] = {}
    for chunk in chunks((6, 20)):
        predicted: Any = mine.log_probabilities(chunk.arrivals) if len(chunk.arrivals) else []
        made |= dict(zip(chunk.arrival_numbers.tolist(), predicted, strict=True))
        classes = chunk.tokens[:, 0].tolist()
        expected = -np.mean([made[n][c] for n, c in zip(chunk.numbers.tolist(), classes, strict=True)])
        signals = loop.observe()
        assert signals is not None
        assert signals.loss_nats == expected
        loop.apply(BASE.decision())
    assert loop.observe() is None


def test_a_document_is_not_trained_on_before_its_label_has_come() -> None:
    loop = assemble_loop(chunks((6, 20)), learner(), base=BASE, config=CONFIG)
    known = 0
    for chunk in chunks((6, 20)):
        loop.observe()
        loop.apply(BASE.decision())
        known += len(chunk.tokens)
        held = loop.rounds.memory.whole(64)
        assert len(held) == min(known, 256)
        assert (held[:, 0] >= 0).all()


def test_a_state_with_predictions_that_wait_goes_on_to_the_same_rounds() -> None:
    straight = play(assemble_loop(chunks((6, 20)), learner(), base=BASE, config=CONFIG))
    first = assemble_loop(chunks((6, 20)), learner(), base=BASE, config=CONFIG)
    play(first, 11)
    rest = chunks((6, 20))
    for _ in range(11):
        next(rest)
    resumed = assemble_loop(rest, learner(), base=BASE, config=CONFIG)
    resumed.load_state_dict(first.state_dict())
    assert play(resumed) == straight[11:]
