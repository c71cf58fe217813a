"""What stands in a text, as a set of numbered buckets: its words, pairs of words, and pieces of words, hashed."""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2048
PACKED = 16  # buckets in one number of a row: whole numbers below 65,536 are exact in float32
WIDTH = BUCKETS // PACKED
_PIECE = 4  # characters of a piece of a word
_WORD = re.compile(r"\w+")

Bits = NDArray[np.bool_]


class TextHasher:
    """Texts as sets of buckets, whatever their length.

    In a text's set are its words and its pairs of neighbouring words, as river's `BagOfWords` finds them (lower
    case, accents taken off), and all pieces of four characters of its words with the ends marked, so that forms of
    a word have some in common. Each is hashed by CRC-32, the same on every machine, and two may meet in a bucket.
    How often something stands in a text is not told. About 0.2 ms a short text.

    >>> hasher = TextHasher()
    >>> one, same, other = hasher.bits(["Never again!", "never AGAIN", "again and again"])
    >>> bool((one == same).all()), int(one.sum()), int((one & other).sum())
    (True, 11, 5)
    """

    @cached_property
    def _words(self) -> Callable[[str], dict[str | tuple[str, ...], int]]:
        from river.feature_extraction import BagOfWords

        words: Callable[[str], dict[str | tuple[str, ...], int]] = BagOfWords(
            ngram_range=(1, 2)
        ).transform_one
        return words

    def bits(self, texts: Sequence[str]) -> Bits:
        """Which buckets each text is in, shape (n, 2048)."""
        found = np.zeros((len(texts), BUCKETS), dtype=np.bool_)
        for row, text in zip(found, texts, strict=True):
            row[list({zlib.crc32(each) % BUCKETS for each in self._parts(text)})] = True
        return found

    def _parts(self, text: str) -> Iterator[bytes]:
        """Words, pairs and pieces, each kind with a mark of its own, so that "ab" and the piece "ab" differ."""
        for found in self._words(text):
            yield (f"w {found}" if isinstance(found, str) else f"p {' '.join(found)}").encode(
                "utf-8", "replace"
            )
        for word in _WORD.findall(text.lower()):
            marked = f"<{word}>"
            for k in range(max(len(marked) - _PIECE + 1, 1)):
                yield f"c {marked[k : k + _PIECE]}".encode("utf-8", "replace")


def pack(bits: Bits) -> NDArray[np.float32]:
    """Sets of buckets, shape (n, 2048), as 128 whole numbers each, in a form that rows of features can hold.

    >>> bits = np.zeros((1, BUCKETS), dtype=np.bool_)
    >>> bits[0, [0, 1, 18]] = True
    >>> pack(bits)[0, :3].tolist(), bool((unpack(pack(bits)) == bits).all())
    ([3.0, 4.0, 0.0], True)
    """
    found = np.packbits(bits, axis=1, bitorder="little").view("<u2").astype(np.float32)
    return found


def unpack(packed: NDArray[np.float32]) -> Bits:
    """What `pack` was given; shape (n, 2048) from (n, 128)."""
    octets = np.ascontiguousarray(packed).astype("<u2").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little").astype(np.bool_)


def check_packed(packed: NDArray[np.float32]) -> None:
    """ValueError unless these can have come from `pack`."""
    if not (((packed >= 0) & (packed < 2**PACKED)).all() and (packed == np.floor(packed)).all()):
        raise ValueError("it holds sets of text features that are none")
