"""Pieces of text, and how they are cut and joined into documents of a convenient length."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeVar, get_args

T = TypeVar("T")
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

MIN_BYTES, TARGET_BYTES, MAX_BYTES = 300, 1500, 4000  # lengths of documents
SHARES: dict[Split, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
# From the coarsest natural boundary to the finest; with the text that joins the parts again.
_BOUNDARIES = (
    (re.compile(r"\n{3,}(?=\S)"), "\n\n\n"),
    (re.compile(r"\n{2,}(?=\S)"), "\n\n"),
    (re.compile(r"\n{2,}"), "\n\n"),
    (re.compile(r"\n"), "\n"),
    (re.compile(r" "), " "),
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of text before it becomes a document.

    All pieces of one `group` (say, a file) fall into the same split, for neighbours share words. Short pieces
    on one `shelf` of the same split are joined into one document.
    """

    text: str
    group: str
    shelf: str


def digest(text: str) -> int:
    """A 64-bit number that depends on the text alone."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def in_hash_order(items: Iterable[T], *, key: Callable[[T], str]) -> list[T]:
    """`items` in an order that looks random but is the same everywhere."""
    return sorted(items, key=lambda item: (digest(key(item)), key(item)))


def split_of(group: str) -> Split:
    """The split a group belongs to, once and for all: about 70 % train, 15 % validation, 15 % test.

    It depends on the group's name alone, so that another version of a package moves nothing between splits.

    >>> split_of("numpy/linalg/_linalg.py") == split_of("numpy/linalg/_linalg.py")
    True
    """
    place = digest(f"split:{group}") / 2**64
    if place < SHARES["train"]:
        return "train"
    return "validation" if place < SHARES["train"] + SHARES["validation"] else "test"


def cut(text: str, *, target: int = TARGET_BYTES, limit: int = MAX_BYTES) -> list[str]:
    """`text` in parts of about `target` bytes, at most `limit`, cut at the coarsest boundaries that do.

    >>> cut("aaaa bbbb cccc", target=6, limit=9)
    ['aaaa bbbb', 'cccc']
    """
    if n_bytes(text) <= limit:
        return [text] if text.strip() else []
    for pattern, joiner in _BOUNDARIES:
        parts = [part for part in pattern.split(text) if part.strip()]
        if len(parts) > 1:
            return _pack(parts, joiner, target, limit)
    half = len(text) // 2
    return [*cut(text[:half], target=target, limit=limit), *cut(text[half:], target=target, limit=limit)]


def _pack(parts: list[str], joiner: str, target: int, limit: int) -> list[str]:
    packed: list[str] = []
    open_to_more = False  # whether the last entry of `packed` may still grow
    for part in parts:
        joined = f"{packed[-1]}{joiner}{part}" if open_to_more else part
        if open_to_more and n_bytes(joined) <= limit:
            packed[-1] = joined
        else:
            packed += cut(part, target=target, limit=limit)
        open_to_more = bool(packed) and n_bytes(packed[-1]) < target
    return packed


def join(pieces: Iterable[Piece], *, held_out: bool = False) -> Iterator[tuple[Split, str]]:
    """Documents with their splits: long pieces as they are, short neighbours on one shelf joined.

    What stays shorter than MIN_BYTES is dropped. `held_out` puts everything into the test split.
    """
    waiting: dict[Split, tuple[str, str]] = {}  # split -> (shelf, text so far)
    for piece in pieces:
        split: Split = "test" if held_out else split_of(piece.group)
        shelf, text = waiting.pop(split, (piece.shelf, ""))
        if text and (shelf != piece.shelf or n_bytes(text) + n_bytes(piece.text) >= MAX_BYTES):
            yield from _finished(split, text)
            text = ""
        text = f"{text}\n{piece.text}" if text else piece.text
        if n_bytes(text) >= TARGET_BYTES:
            yield from _finished(split, text)
        else:
            waiting[split] = (piece.shelf, text)
    for split, (_, text) in waiting.items():
        yield from _finished(split, text)


def _finished(split: Split, text: str) -> Iterator[tuple[Split, str]]:
    if n_bytes(text) >= MIN_BYTES:
        yield split, text


def n_bytes(text: str) -> int:
    """Length in UTF-8 bytes."""
    return len(text.encode("utf-8", "surrogatepass"))
