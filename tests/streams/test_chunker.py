import itertools
import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olrl.streams.chunk import Chunk
from olrl.streams.chunker import Chunker
from olrl.streams.document import Document
from olrl.streams.tokens import ByteTokenizer


class PairTokenizer:
    """A token for every two characters, so that bytes and tokens differ."""

    separator = 7
    vocab_size = 1 << 16

    def encode(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        pairs = [text[i : i + 2] for i in range(0, len(text), 2)]
        ids = np.array([sum(map(ord, pair)) % self.vocab_size for pair in pairs], dtype=np.int32)
        return ids, np.array([len(pair.encode()) for pair in pairs], dtype=np.int32)


def chunker(n_sequences: int = 2, seq_len: int = 3) -> Chunker:
    return Chunker(ByteTokenizer(), n_sequences=n_sequences, seq_len=seq_len)


def documents(*texts: str) -> list[Document]:
    return [Document(text=text, source=text[:1], segment=i) for i, text in enumerate(texts)]


def predicted(chunks: list[Chunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.tokens[:, 1:].ravel().tolist()]


@given(
    st.lists(st.text("aé語😀", min_size=1, max_size=20), max_size=12), st.integers(1, 3), st.integers(1, 4)
)
def test_every_token_is_predicted_exactly_once_and_every_byte_counted(
    texts: list[str], c: int, length: int
) -> None:
    for tokenizer in (ByteTokenizer(), PairTokenizer()):
        cutter = Chunker(tokenizer, n_sequences=c, seq_len=length)
        chunks = list(cutter.chunks(documents(*texts)))
        ids, sizes = [], []
        for text in texts:
            new_ids, new_sizes = tokenizer.encode(text)
            ids += [*new_ids.tolist(), tokenizer.separator]
            sizes += [*new_sizes.tolist(), 1]
        n = len(predicted(chunks))
        assert predicted(chunks) == ids[:n]
        assert cutter.leftover_tokens == len(ids) - n < c * length
        rows = [row for chunk in chunks for row in chunk.n_bytes.tolist()]
        assert rows == [sum(sizes[i : i + length]) for i in range(0, n, length)]


@given(st.lists(st.text("ab", min_size=1, max_size=20), min_size=1, max_size=12))
def test_context_is_the_token_before(texts: list[str]) -> None:
    chunks = list(chunker().chunks(documents(*texts)))
    rows = [row for chunk in chunks for row in chunk.tokens.tolist()]
    contexts = [row[0] for row in rows]
    assert contexts == [ByteTokenizer.separator, *(row[-1] for row in rows[:-1])][: len(rows)]


def test_segment_is_that_at_the_end_and_source_that_of_most_bytes() -> None:
    chunks = list(chunker().chunks(documents("aaaa", "b", "cccccccc")))
    assert [chunk.index for chunk in chunks] == [0, 1]
    assert [(chunk.source, chunk.segment) for chunk in chunks] == [("a", 1), ("c", 2)]


def test_takes_no_more_documents_than_needed() -> None:
    taken = []

    def endless() -> Iterator[Document]:
        for i in itertools.count():
            taken.append(i)
            yield Document(text="x" * 5)

    assert len(list(itertools.islice(chunker().chunks(endless()), 3))) == 3
    assert len(taken) == 3


def test_document_much_longer_than_a_chunk() -> None:
    chunks = list(chunker().chunks(documents("a" * 50)))
    assert len(chunks) == 51 // 6


@pytest.mark.parametrize("cut", range(5))
def test_continues_from_saved_state(cut: int) -> None:
    texts = documents("abcdef", "gh", "ijklmnopq", "rs", "tuvwxyz")
    whole = list(chunker().chunks(texts))
    first = chunker()
    before = list(first.chunks(texts[:cut]))
    second = chunker()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    after = list(second.chunks(texts[cut:]))
    assert len(before + after) == len(whole)
    for mine, theirs in zip(before + after, whole, strict=True):
        np.testing.assert_array_equal(mine.tokens, theirs.tokens)
        np.testing.assert_array_equal(mine.n_bytes, theirs.n_bytes)
        assert (mine.index, mine.source, mine.segment) == (theirs.index, theirs.source, theirs.segment)


def test_state_of_other_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"saved chunks have shape \(2, 3\), these have \(2, 4\)"):
        chunker(seq_len=4).load_state_dict(chunker().state_dict())


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)])
def test_sizes_are_checked(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 sequence"):
        chunker(*sizes)
