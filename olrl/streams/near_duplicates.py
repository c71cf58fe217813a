"""Which texts are copies, or nearly copies, of texts already kept."""

import re
import zlib

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|\w+")  # a sign each in scripts that do not space words


class NearDuplicates:
    r"""Remembers what was kept and tells whether a new text repeats it.

    A text is a copy if half of it or more lies in lines (of at least 20 characters) already kept, which
    catches pasted blocks, or if its 5-word shingles have an estimated Jaccard similarity of about 0.5 or more
    with a kept text (MinHash with locality-sensitive hashing), which catches re-wrapped ones. Texts shorter
    than 8 words are compared word by word. Memory grows with what is kept.

    >>> seen = NearDuplicates()
    >>> seen.is_new("It was a bright cold day in April, and the clocks were striking.")
    True
    >>> seen.is_new("It was a bright   cold day in April,\nand the clocks were striking.")
    False
    """

    N_PERM = 64
    SHINGLE = 5  # words
    MIN_LINE = 20  # characters

    def __init__(self, *, threshold: float = 0.5) -> None:
        self._exact: set[int] = set()
        self._lines: set[int] = set()
        self._index = MinHashLSH(threshold=threshold, num_perm=self.N_PERM)
        self._blank = MinHash(num_perm=self.N_PERM, seed=1, hashfunc=int)
        self._n = 0

    def is_new(self, text: str) -> bool:
        """Whether `text` is not a copy; a new text is remembered."""
        words = _WORD.findall(text.lower())
        exact = hash(tuple(words)) if words else hash(text)
        if exact in self._exact:
            return False
        lines = [line for line in map(str.strip, text.split("\n")) if len(line) >= self.MIN_LINE]
        if 2 * sum(len(line) for line in lines if hash(line) in self._lines) >= max(len(text), 1):
            return False
        if len(words) >= 8 and not self._insert(words):
            return False
        self._exact.add(exact)
        self._lines.update(map(hash, lines))
        return True

    def _insert(self, words: list[str]) -> bool:
        signature = self._blank.copy()
        signature.update_batch(self._shingles(words))
        if self._index.query(signature):
            return False
        self._index.insert(self._n, signature, check_duplication=False)
        self._n += 1
        return True

    def _shingles(self, words: list[str]) -> list[int]:
        codes: NDArray[np.uint64] = np.array([zlib.crc32(word.encode()) for word in words], dtype=np.uint64)
        mixed = np.zeros(len(codes) - self.SHINGLE + 1, dtype=np.uint64)
        for i in range(self.SHINGLE):  # a polynomial hash, wrapping round at 2^64
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + codes[i : i + len(mixed)]
        return np.unique(mixed >> np.uint64(32)).tolist()  # type: ignore[no-any-return]
