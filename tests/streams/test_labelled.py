import json

import numpy as np
import pytest

from olrl.streams import labelled
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.labelled import LabelledChunk, LabelledChunker
from olrl.streams.labels import LabelChanges, change_labels, drift_shares
from olrl.streams.tokens import ByteTokenizer

CLASSES = ("ham", "spam")


def chunker(dead_letter: DeadLetter | None = None, *, size: int = 2) -> LabelledChunker:
    return LabelledChunker(
        ByteTokenizer(), classes=CLASSES, n_documents=size, seq_len=4, dead_letter=dead_letter
    )


def documents(count: int = 40) -> list[Document]:
    return [Document(text=f"t{k}", label=CLASSES[k % 2], source="a", segment=k // 10) for k in range(count)]


def seen(chunks: list[LabelledChunk]) -> list[tuple[str, int]]:
    """Texts and classes of the documents that became known, in order."""
    return [
        (bytes(t for t in row[1:].tolist() if t >= 0).decode(), int(row[0]))
        for c in chunks
        for row in c.tokens
    ]


def test_labels_that_come_with_their_documents_are_known_at_once() -> None:
    chunks = list(chunker().chunks(documents()))
    assert seen(chunks) == [(d.text, CLASSES.index(str(d.label))) for d in documents()]
    for chunk in chunks:
        np.testing.assert_array_equal(chunk.numbers, chunk.arrival_numbers)
        assert (chunk.arrivals[:, 0] == labelled.UNKNOWN).all()


def test_every_document_arrives_once_and_is_known_once_however_late_its_label() -> None:
    late = change_labels(documents(), LabelChanges(late=(0, 9), seed=3), classes=CLASSES)
    chunks = list(chunker().chunks(late))
    known = np.concatenate([c.numbers for c in chunks])
    arrived = np.concatenate([c.arrival_numbers for c in chunks])
    assert sorted(known.tolist()) == arrived.tolist() == list(range(40))
    assert known.tolist() != arrived.tolist()
    assert sorted(seen(chunks)) == sorted((d.text, CLASSES.index(str(d.label))) for d in documents())
    for k, chunk in enumerate(chunks):  # nothing is known that has not arrived
        there = np.concatenate([c.arrival_numbers for c in chunks[: k + 1]])
        assert set(chunk.numbers.tolist()) <= set(there.tolist())


def test_what_cannot_be_used_is_counted_and_the_rest_is_used() -> None:
    dead_letter = DeadLetter(None)
    rows = [
        Document(text="a", label="eggs"),
        Document(text="b"),
        Document(text="", id=9, label="ham"),
        Document(text="c", id=1),
        Document(text="d", id=1),
        Document(text="", id=1, label="spam"),
        Document(text="e", label="ham"),
    ]
    chunks = list(chunker(dead_letter).chunks(rows))
    assert seen(chunks) == [("d", 1), ("e", 0)]
    assert dead_letter.counts == {
        "label is none of the classes": 1,
        "neither label nor id": 1,
        "label of no document that waits for one": 1,
        "its id came again before its label": 1,
    }


def test_documents_whose_label_never_comes_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "MAX_WAITING", 3)
    dead_letter = DeadLetter(None)
    cutter = chunker(dead_letter, size=1)
    rows = [Document(text=f"t{k}", id=k) for k in range(5)]
    late = [Document(text="", id=k, label="ham") for k in range(5)]
    assert seen(list(cutter.chunks([*rows, *late]))) == [("t2", 0), ("t3", 0), ("t4", 0)]
    assert dead_letter.counts.total() == 4


def test_a_state_in_the_middle_of_late_labels_goes_on_to_the_same_chunks() -> None:
    late = list(change_labels(documents(), LabelChanges(late=(2, 9)), classes=CLASSES))
    straight = [vars(chunk) for chunk in chunker().chunks(late)]
    first = chunker()
    before = [vars(chunk) for chunk in first.chunks(late[:31])]
    resumed = chunker()
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    after = [vars(chunk) for chunk in resumed.chunks(late[31:])]
    assert len(straight) == len(before) + len(after)
    for one, other in zip(straight, before + after, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


def test_so_many_labels_are_wrong_and_never_by_chance_the_right_one() -> None:
    many = documents(4000)
    noisy = list(change_labels(many, LabelChanges(wrong=0.2, seed=1), classes=CLASSES))
    wrong = np.mean([a.label != b.label for a, b in zip(many, noisy, strict=True)])
    assert wrong == pytest.approx(0.2, abs=0.02)
    assert noisy == list(change_labels(many, LabelChanges(wrong=0.2, seed=1), classes=CLASSES))


def test_a_label_comes_as_many_documents_later_as_was_asked() -> None:
    events = list(change_labels(documents(), LabelChanges(late=(5, 5)), classes=CLASSES))
    texts = 0
    arrived: dict[object, int] = {}
    for event in events:
        if event.text:
            arrived[event.id] = texts
            texts += 1
        elif texts < 40:
            assert texts - 1 - arrived[event.id] == 5


def test_shares_of_classes_drift_as_asked() -> None:
    pool = [Document(text=str(k), label=CLASSES[k % 2]) for k in range(2000)]
    drifted = list(
        drift_shares(pool, [{"ham": 0.9, "spam": 0.1}, {"ham": 0.1, "spam": 0.9}], length=500, seed=0)
    )
    shares = [np.mean([d.label == "ham" for d in drifted if d.segment == s]) for s in (0, 1)]
    assert shares == [pytest.approx(0.9, abs=0.05), pytest.approx(0.1, abs=0.05)]
    assert len({d.text for d in drifted}) == 1000
