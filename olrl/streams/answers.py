"""From questions with their answers to chunks whose answers alone are predicted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.streams.chunk import Chunk
from olrl.streams.dead_letter import DeadLetter
from olrl.streams.document import Document
from olrl.streams.tokens import Tokenizer

PAD = -1  # behind the end of an answer
ASK = "\n"  # between question and answer


def as_context(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Token ids as they stand in a row where they are not predicted; the same again gives the ids back.

    >>> as_context(np.array([0, 65], dtype=np.int32)).tolist()
    [-2, -67]
    """
    return (-2 - ids).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class AnswerChunk(Chunk):
    """C questions with their answers, one a row.

    Tokens that are not predicted stand there as `as_context` has them, with `PAD` behind the answer's end.
    `n_bytes` counts the bytes of the answers, and one for the end of each.
    """

    @property
    def words(self) -> NDArray[Any]:
        """The tokens of questions and answers without padding, shape (n,)."""
        tokens = self.tokens[self.tokens != PAD]
        return np.where(tokens < 0, as_context(tokens), tokens)

    def nats(self, losses: NDArray[np.float64]) -> float:
        """A row's mean loss is of the tokens of its answer."""
        return float(np.dot(losses, (self.tokens[:, 1:] >= 0).sum(axis=1)))


class AnswerChunker:
    """Cuts a stream of questions (the text of a document) and answers (its label) into chunks.

    A row is a separator, the question, a line break, the answer, a separator, and padding up to `seq_len` + 1
    tokens. Of a question too long for its row the beginning is left out, of an answer the end. A document without
    label goes to `dead_letter`.

    >>> from olrl.streams.tokens import ByteTokenizer
    >>> chunker = AnswerChunker(ByteTokenizer(), n_sequences=1, seq_len=6)
    >>> [chunk.tokens.tolist() for chunk in chunker.chunks([Document(text="1+1", label="2")])]
    [[[-2, -51, -45, -51, -12, 50, 0]]]
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        n_sequences: int = 16,
        seq_len: int = 128,
        dead_letter: DeadLetter | None = None,
    ) -> None:
        if n_sequences < 1 or seq_len < 4:
            raise ValueError(
                f"a chunk takes at least 1 question, and a row 4 tokens, not {n_sequences} of {seq_len}"
            )
        self._tokenizer = tokenizer
        self._shape = (n_sequences, seq_len)
        self._dead_letter = dead_letter or DeadLetter(None)
        self._rows: list[tuple[NDArray[np.int32], int, str, int]] = []
        self._index = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Questions of a chunk, and tokens of a row behind its first."""
        return self._shape

    @property
    def leftover_tokens(self) -> int:
        """Questions that are not yet part of a chunk."""
        return len(self._rows)

    def chunks(self, documents: Iterable[Document]) -> Iterator[AnswerChunk]:
        """Chunks as soon as they are full; consumes `documents` no further than needed."""
        for document in documents:
            if document.label is None:
                content = document.text.encode("utf-8", "backslashreplace")
                self._dead_letter.reject(
                    source=document.source, line=0, offset=0, content=content, reason="no answer"
                )
                continue
            row, n_bytes = self._row(document.text, str(document.label))
            self._rows.append((row, n_bytes, document.source, document.segment))
            if len(self._rows) == self._shape[0]:
                yield self._cut()

    def _row(self, question: str, answer: str) -> tuple[NDArray[np.int32], int]:
        length, end = self._shape[1], np.int32(self._tokenizer.separator)
        asked, _ = self._tokenizer.encode(question + ASK)
        ids, n_bytes = self._tokenizer.encode(answer)
        ids, n_bytes = ids[: length - 2], n_bytes[: length - 2]
        asked = asked[-(length - len(ids) - 1) :]
        row = np.full(length + 1, PAD, dtype=np.int32)
        whole = np.concatenate([as_context(np.append(end, asked)), np.append(ids, end)])
        row[: len(whole)] = whole
        return row, int(n_bytes.sum()) + 1

    def _cut(self) -> AnswerChunk:
        rows, sizes, sources, segments = zip(*self._rows, strict=True)
        chunk = AnswerChunk(
            tokens=np.stack(rows),
            n_bytes=np.array(sizes, dtype=np.int32),
            index=self._index,
            source=max(sources, key=sources.count),
            segment=segments[-1],
        )
        self._rows = []
        self._index += 1
        return chunk

    def state_dict(self) -> dict[str, Any]:
        """All that the next chunk depends on beside the documents to come, JSON-able.

        It holds text, as token ids.
        """
        rows = [[row.tolist(), *rest] for row, *rest in self._rows]
        return {"shape": list(self._shape), "index": self._index, "rows": rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; raises ValueError if it was made with other chunk sizes."""
        if tuple(state["shape"]) != self._shape:
            raise ValueError(f"saved chunks have shape {tuple(state['shape'])}, these have {self._shape}")
        self._index = int(state["index"])
        self._rows = [
            (np.array(row, dtype=np.int32), n, source, segment) for row, n, source, segment in state["rows"]
        ]
