"""From documents to chunks of token sequences."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.streams.chunk import Chunk
from olrl.streams.document import Document
from olrl.streams.tokens import Tokenizer


class Chunker:
    """Cuts a stream of documents into chunks of `n_sequences` sequences of `seq_len` predicted tokens.

    Documents are run together, a separator token (counted as 1 byte) after each. Every token is predicted
    exactly once: a sequence's column 0 repeats the last token of the sequence before it, and the very first
    context is a separator. When the stream ends, what does not fill a chunk is not played; `leftover_tokens`
    counts it, and it comes first if `chunks` is called again.

    >>> from olrl.streams.tokens import ByteTokenizer
    >>> chunker = Chunker(ByteTokenizer(), n_sequences=1, seq_len=3)
    >>> [chunk.tokens.tolist() for chunk in chunker.chunks([Document(text="abcde")])]
    [[[0, 97, 98, 99]], [[99, 100, 101, 0]]]
    """

    def __init__(self, tokenizer: Tokenizer, *, n_sequences: int = 16, seq_len: int = 64) -> None:
        if n_sequences < 1 or seq_len < 1:
            raise ValueError(
                f"a chunk takes at least 1 sequence of at least 1 token, not {n_sequences} of {seq_len}"
            )
        self._tokenizer = tokenizer
        self._shape = (n_sequences, seq_len)
        self._size = n_sequences * seq_len
        self._context = tokenizer.separator  # the token before the next one to be cut
        self._ids: list[NDArray[np.int32]] = []  # waiting; each array is a stretch of one document
        self._bytes: list[NDArray[np.int32]] = []
        self._origin: list[tuple[str, int]] = []  # source and segment of each stretch
        self._waiting = 0
        self._index = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Sequences of a chunk, and predicted tokens of a sequence."""
        return self._shape

    @property
    def leftover_tokens(self) -> int:
        """Tokens taken from documents and not yet part of a chunk."""
        return self._waiting

    def chunks(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        """Chunks as soon as they are full; consumes `documents` no further than needed."""
        yield from self._full()  # what a long document left over, where this goes on after loading a state
        for document in documents:
            self._add(document)
            yield from self._full()

    def _full(self) -> Iterator[Chunk]:
        while self._waiting >= self._size:
            yield self._cut()

    def _add(self, document: Document) -> None:
        ids, n_bytes = self._tokenizer.encode(document.text)
        self._ids.append(np.append(ids, np.int32(self._tokenizer.separator)))
        self._bytes.append(np.append(n_bytes, np.int32(1)))
        self._origin.append((document.source, document.segment))
        self._waiting += len(ids) + 1

    def _cut(self) -> Chunk:
        ids, n_bytes, origins = self._take(self._size)
        count, length = self._shape
        body = ids.reshape(count, length)
        tokens = np.empty((count, length + 1), dtype=np.int32)
        tokens[:, 1:] = body
        tokens[0, 0] = self._context
        tokens[1:, 0] = body[:-1, -1]
        self._context = int(ids[-1])
        by_source: Counter[str] = Counter()
        for (source, _), size in origins:
            by_source[source] += size
        chunk = Chunk(
            tokens=tokens,
            n_bytes=n_bytes.reshape(count, length).sum(axis=1, dtype=np.int32),
            index=self._index,
            source=by_source.most_common(1)[0][0],
            segment=origins[-1][0][1],
        )
        self._index += 1
        return chunk

    def _take(
        self, wanted: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], list[tuple[tuple[str, int], int]]]:
        """The next `wanted` tokens, their bytes, and the bytes that each origin gave."""
        ids, n_bytes, origins = [], [], []
        self._waiting -= wanted
        while wanted:
            size = min(wanted, len(self._ids[0]))
            ids.append(self._ids[0][:size])
            n_bytes.append(self._bytes[0][:size])
            origins.append((self._origin[0], int(n_bytes[-1].sum())))
            wanted -= size
            if size < len(self._ids[0]):
                self._ids[0], self._bytes[0] = self._ids[0][size:], self._bytes[0][size:]
            else:
                del self._ids[0], self._bytes[0], self._origin[0]
        return np.concatenate(ids), np.concatenate(n_bytes), origins

    def state_dict(self) -> dict[str, Any]:
        """All that the next chunk depends on beside the documents to come, JSON-able.

        It holds text, as token ids.
        """
        return {
            "shape": list(self._shape),
            "context": self._context,
            "index": self._index,
            "waiting": [
                {"ids": ids.tolist(), "bytes": n_bytes.tolist(), "source": source, "segment": segment}
                for ids, n_bytes, (source, segment) in zip(self._ids, self._bytes, self._origin, strict=True)
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; raises ValueError if it was made with other chunk sizes."""
        if tuple(state["shape"]) != self._shape:
            raise ValueError(f"saved chunks have shape {tuple(state['shape'])}, these have {self._shape}")
        self._context, self._index = int(state["context"]), int(state["index"])
        self._ids = [np.array(part["ids"], dtype=np.int32) for part in state["waiting"]]
        self._bytes = [np.array(part["bytes"], dtype=np.int32) for part in state["waiting"]]
        self._origin = [(part["source"], part["segment"]) for part in state["waiting"]]
        self._waiting = sum(map(len, self._ids))
