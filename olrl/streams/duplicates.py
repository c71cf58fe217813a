"""Bursts of one and the same text, as a stuck producer sends them."""

from collections import Counter, deque
from hashlib import blake2b
from typing import Any


class DuplicateBurst:
    """Tells whether a text came more than `limit` times among the last `window` texts, itself included.

    >>> burst = DuplicateBurst(limit=2, window=10)
    >>> [burst.add(text) for text in ("a", "a", "b", "a", "b")]
    [False, False, False, True, False]
    """

    def __init__(self, *, limit: int = 3, window: int = 256) -> None:
        if not 1 <= limit <= window:
            raise ValueError(f"limit must be from 1 to window = {window}, not {limit!r}")
        self._limit, self._window = limit, window
        self._recent: deque[bytes] = deque()
        self._counts: Counter[bytes] = Counter()

    def add(self, text: str) -> bool:
        """Count `text`, and tell whether it is one too many."""
        digest = blake2b(text.encode("utf-8"), digest_size=16).digest()
        self._recent.append(digest)
        self._counts[digest] += 1
        if len(self._recent) > self._window:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        return self._counts[digest] > self._limit

    def state_dict(self) -> dict[str, Any]:
        """Hashes of the last texts, JSON-able."""
        return {"recent": [digest.hex() for digest in self._recent]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of one with the same limits."""
        self._recent = deque(bytes.fromhex(digest) for digest in state["recent"])
        self._counts = Counter(self._recent)
