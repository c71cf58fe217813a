"""From labelled documents to chunks for a classifier: what arrived, and whose labels have become known."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from olrl.streams.chunk import Chunk
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.tokens import Tokenizer

UNKNOWN = -1  # in place of a class, of a document whose label has not come
PAD = -1  # in place of a token, behind the end of a text
MAX_WAITING = 4096  # documents without a label that are held; before one more comes, the oldest is given up


@dataclass(frozen=True, kw_only=True)
class LabelledChunk(Chunk):
    """C documents whose labels have become known, and all documents that arrived since the chunk before.

    Rows of `tokens` are (class, token 1, …, token L), with `PAD` behind the end of a text; `n_bytes` counts the
    bytes of text that they hold. `numbers`, shape (C,), says which documents of the stream these are.
    `arrivals`, shape (A, L + 1), are to be predicted now, whether their label is among this chunk's or still to
    come; in place of their class stands `UNKNOWN`. Where rows hold something made of the text, `text` are the
    tokens.
    """

    per_byte: ClassVar[bool] = False

    numbers: NDArray[np.int64]
    arrivals: NDArray[Any]
    arrival_numbers: NDArray[np.int64]
    text: NDArray[np.int32] | None = None

    @property
    def words(self) -> NDArray[Any]:
        """The tokens of the documents without padding, shape (n,)."""
        tokens = self.tokens[:, 1:] if self.text is None else self.text[:, 1:]
        words: NDArray[Any] = tokens[tokens != PAD]
        return words

    @property
    def row_tokens(self) -> int:
        """Tokens of a document that are looked at, at most."""
        return int((self.tokens if self.text is None else self.text).shape[1]) - 1

    def nats(self, losses: NDArray[np.float64]) -> float:
        """A loss a label."""
        return float(np.add.reduce(losses))


@dataclass(frozen=True)
class _Arrived:
    """A document that is waiting for its label, or for its chunk to fill."""

    number: int
    row: NDArray[np.int32]
    n_bytes: int
    source: str
    segment: int


class LabelledChunker:
    """Cuts a stream of labelled documents into chunks of `n_documents` documents whose labels are known.

    A document has its label with it, or an `id` under which a late label comes (`Document`). A chunk is full as
    soon as so many labels are known, in the order in which they became known. Labels are told by their text: 1
    and "1" are the same class, one of `classes`. Only the first `seq_len` tokens of a text are looked at. What
    has no use is counted in `dead_letter`: a label that is none of the classes, a document without label and
    id, a label of no document that waits for one, an id that comes again before its label, and documents given
    up because more than 4,096 were waiting.

    >>> from olrl.streams.tokens import ByteTokenizer
    >>> chunker = LabelledChunker(ByteTokenizer(), classes=("ham", "spam"), n_documents=1, seq_len=3)
    >>> late = [Document(text="buy", id=7), Document(text="hi", label="ham"), Document(text="", id=7, label="spam")]
    >>> [(chunk.tokens.tolist(), len(chunk.arrivals)) for chunk in chunker.chunks(late)]
    [([[0, 104, 105, -1]], 2), ([[1, 98, 117, 121]], 0)]
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        classes: Sequence[str],
        n_documents: int = 16,
        seq_len: int = 128,
        dead_letter: DeadLetter | None = None,
    ) -> None:
        if n_documents < 1 or seq_len < 1:
            raise ValueError(
                f"a chunk takes at least 1 document of at least 1 token, not {n_documents} of {seq_len}"
            )
        self._classes = {name: k for k, name in enumerate(classes)}
        self._tokenizer = tokenizer
        self._shape = (n_documents, seq_len)
        self._dead_letter = dead_letter or DeadLetter(None)
        self._waiting: dict[str, _Arrived] = {}  # for their labels, by id
        self._known: list[tuple[int, _Arrived]] = []  # class and document, for the chunk to fill
        self._arrived: list[_Arrived] = []  # since the last chunk
        self._number = self._index = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Documents of a chunk, and tokens of a document that are looked at."""
        return self._shape

    @property
    def leftover_tokens(self) -> int:
        """Documents whose labels are known and which are not yet part of a chunk."""
        return len(self._known)

    def chunks(self, documents: Iterable[Document]) -> Iterator[LabelledChunk]:
        """Chunks as soon as they are full; consumes `documents` no further than needed."""
        for document in documents:
            self._add(document)
            if len(self._known) == self._shape[0]:
                yield self._cut()

    def _add(self, document: Document) -> None:
        name = None if document.label is None else str(document.label)
        if name is not None and name not in self._classes:
            self._reject(document, "label is none of the classes")
        elif document.is_late_label:
            arrived = self._waiting.pop(str(document.id), None)
            if arrived is None:
                self._reject(document, "label of no document that waits for one")
            else:
                self._known.append((self._classes[str(name)], arrived))
        elif name is not None:
            self._known.append((self._classes[name], self._arrive(document)))
        elif document.id is None:
            self._reject(document, "neither label nor id")
        else:
            self._wait(str(document.id), self._arrive(document))

    def _arrive(self, document: Document) -> _Arrived:
        length = self._shape[1]
        ids, n_bytes = self._tokenizer.encode(document.text)
        row = np.full(length + 1, PAD, dtype=np.int32)
        row[0] = UNKNOWN
        row[1 : 1 + len(ids)] = ids[:length]
        size = int(n_bytes[:length].sum())
        arrived = _Arrived(self._number, row, size, document.source, document.segment)
        self._number += 1
        self._arrived.append(arrived)
        return arrived

    def _wait(self, name: str, arrived: _Arrived) -> None:
        if self._waiting.pop(name, None) is not None:
            self._dead_letter.counts["its id came again before its label"] += 1
        if len(self._waiting) >= MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self._dead_letter.counts["label did not come while 4,096 others waited"] += 1
        self._waiting[name] = arrived

    def _reject(self, document: Document, reason: str) -> None:
        content = (document.text or str(document.label)).encode("utf-8", "backslashreplace")
        self._dead_letter.reject(source=document.source, line=0, offset=0, content=content, reason=reason)

    def _cut(self) -> LabelledChunk:
        documents = [arrived for _, arrived in self._known]
        tokens = np.stack([arrived.row for arrived in documents])
        tokens[:, 0] = [label for label, _ in self._known]
        sources = [arrived.source for arrived in documents]
        nothing = np.zeros((0, self._shape[1] + 1), dtype=np.int32)
        chunk = LabelledChunk(
            tokens=tokens,
            n_bytes=np.array([arrived.n_bytes for arrived in documents], dtype=np.int32),
            index=self._index,
            source=max(sources, key=sources.count),
            segment=documents[-1].segment,
            numbers=np.array([arrived.number for arrived in documents], dtype=np.int64),
            arrivals=np.stack([a.row for a in self._arrived]) if self._arrived else nothing,
            arrival_numbers=np.array([arrived.number for arrived in self._arrived], dtype=np.int64),
        )
        self._known, self._arrived = [], []
        self._index += 1
        return chunk

    def state_dict(self) -> dict[str, Any]:
        """All that the next chunk depends on beside the documents to come, JSON-able.

        It holds text, as token ids.
        """
        return {
            "shape": list(self._shape),
            "number": self._number,
            "index": self._index,
            "waiting": {name: _saved(arrived) for name, arrived in self._waiting.items()},
            "known": [[label, _saved(arrived)] for label, arrived in self._known],
            "arrived": [_saved(arrived) for arrived in self._arrived],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; raises ValueError if it was made with other chunk sizes."""
        if tuple(state["shape"]) != self._shape:
            raise ValueError(f"saved chunks have shape {tuple(state['shape'])}, these have {self._shape}")
        self._number, self._index = int(state["number"]), int(state["index"])
        self._waiting = {name: _restored(saved) for name, saved in state["waiting"].items()}
        self._known = [(int(label), _restored(saved)) for label, saved in state["known"]]
        self._arrived = [_restored(saved) for saved in state["arrived"]]


def _saved(arrived: _Arrived) -> dict[str, Any]:
    return {**vars(arrived), "row": arrived.row.tolist()}


def _restored(saved: dict[str, Any]) -> _Arrived:
    return _Arrived(**{**saved, "row": np.array(saved["row"], dtype=np.int32)})
