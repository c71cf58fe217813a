"""What happens to labels on their way: they come late, some are wrong, and their shares change."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np

from olrl.streams.document import Document


@dataclass(frozen=True, kw_only=True)
class LabelChanges:
    """What is done to the labels of a stream.

    late: smallest and largest number of documents that come between a document and its label, drawn uniformly;
        (0, 0) leaves it with the document. wrong: share of the labels that are replaced by another class, each as
        likely. seed: decides both.

    >>> LabelChanges(wrong=1.5)
    Traceback (most recent call last):
    ...
    ValueError: wrong must be a share from 0 to 1, not 1.5
    """

    late: tuple[int, int] = (0, 0)
    wrong: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.wrong <= 1:
            raise ValueError(f"wrong must be a share from 0 to 1, not {self.wrong!r}")
        if not 0 <= self.late[0] <= self.late[1]:
            raise ValueError(f"late must be (fewest, most) documents, from 0 up, not {self.late!r}")


def change_labels(
    documents: Iterable[Document], changes: LabelChanges, *, classes: Sequence[str]
) -> Iterator[Document]:
    """The documents with labels wrong and late as `changes` has it; the same for the same seed.

    A label that comes late is a document of its own (`Document.is_late_label`); what is still late at the end
    comes then. What is drawn for a document does not depend on those before it.

    >>> documents = [Document(text="a", label="x"), Document(text="b", label="y"), Document(text="c", label="x")]
    >>> changed = change_labels(documents, LabelChanges(late=(1, 1)), classes=("x", "y"))
    >>> [(d.text, d.label) for d in changed]
    [('a', None), ('b', None), ('', 'x'), ('c', None), ('', 'y'), ('', 'x')]
    """
    due: list[tuple[int, int, Document]] = []
    for number, document in enumerate(documents):
        rng = np.random.default_rng([changes.seed, number])
        label = _noisy(str(document.label), changes.wrong, rng, classes)
        after = int(rng.integers(changes.late[0], changes.late[1], endpoint=True))
        if after == 0:
            yield replace(document, label=label)
        else:
            yield replace(document, label=None, id=number)
            late = Document(text="", id=number, label=label, source=document.source, segment=document.segment)
            heappush(due, (number + after, number, late))
        while due and due[0][0] <= number:
            yield heappop(due)[2]
    while due:
        yield heappop(due)[2]


def _noisy(label: str, wrong: float, rng: np.random.Generator, classes: Sequence[str]) -> str:
    if rng.random() >= wrong:
        return label
    others = [name for name in classes if name != label]
    return others[int(rng.integers(len(others)))] if others else label


def drift_shares(
    documents: Iterable[Document], shares: Sequence[dict[str, float]], *, length: int, seed: int
) -> Iterator[Document]:
    """Label drift: `length` documents with the first shares of classes, then as many with the next, and so on.

    Each document is used once, at most: in a random order, its class drawn by the shares in force among the classes
    of which documents are left. `segment` counts the stretches. It ends early when those classes have run out.

    >>> pool = [Document(text=str(k), label="ab"[k % 2]) for k in range(8)]
    >>> drifted = drift_shares(pool, [{"a": 1.0}, {"b": 1.0}], length=3, seed=0)
    >>> [(d.label, d.segment) for d in drifted]
    [('a', 0), ('a', 0), ('a', 0), ('b', 1), ('b', 1), ('b', 1)]
    """
    rng = np.random.default_rng(seed)
    pools: dict[str, list[Document]] = {}
    for document in documents:
        pools.setdefault(str(document.label), []).append(document)
    for pool in pools.values():
        rng.shuffle(pool)
    for segment, wanted in enumerate(shares):
        for _ in range(length):
            left = {name: share for name, share in wanted.items() if pools.get(name) and share > 0}
            if not left:
                return
            weights = np.array(list(left.values()))
            name = list(left)[int(rng.choice(len(left), p=weights / weights.sum()))]
            yield replace(pools[name].pop(), segment=segment)
