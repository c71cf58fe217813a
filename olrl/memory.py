"""What of the past can be drawn: a sliding window of the newest chunks, and a uniform sample of everything."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from olrl.control.decision import WINDOWS
from olrl.draws import uniforms

MAX_WINDOW = max(WINDOWS)
_DRAWS = 64  # in a round of the default budget at most so many
RESERVOIR_STREAM = 1  # keys of admission to the reservoir, apart from those of draws


class Memory:
    """Sliding window (the newest 64 chunks) and reservoir behind one keyed draw; bounded whatever comes.

    Each of the C examples of a chunk has shape `example_shape`. The reservoir is Algorithm R (Vitter, 1985,
    "Random sampling with a reservoir"): after n examples each of them is held with probability
    min(1, reservoir_size / n). Draws are with replacement, keyed by (seed, round, draw index) and mapped onto
    the window from the newest example backwards, so that a shorter window draws by the same luck.

    >>> memory = Memory(chunk_size=2, example_shape=(3,), dtype=np.int32, reservoir_size=4, seed=0)
    >>> for k in range(5):
    ...     memory.add(np.full((2, 3), k, dtype=np.int32))
    >>> memory.draw(round_=0, window=1, start=0, count=3)[:, 0].tolist()
    [4, 4, 4]
    >>> memory.draw(round_=0, window=0, start=0, count=3).shape
    (3, 3)
    """

    def __init__(
        self,
        *,
        chunk_size: int,
        example_shape: tuple[int, ...],
        dtype: DTypeLike,
        reservoir_size: int = 1024,
        seed: int = 0,
    ) -> None:
        if chunk_size < 1 or reservoir_size < 1:
            raise ValueError(
                f"chunk_size and reservoir_size must be at least 1, not {chunk_size} and {reservoir_size}"
            )
        self.seed = seed
        self.chunk_size = chunk_size
        self.chunks_seen = 0
        self._ring = np.zeros((MAX_WINDOW, chunk_size, *example_shape), dtype=dtype)
        self._recent = self._ring.reshape(-1, *example_shape)  # the same, an example a row
        self._reservoir = np.zeros((reservoir_size, *example_shape), dtype=dtype)
        self._key: tuple[int, ...] = ()
        self._rows = np.zeros(0, dtype=np.int64)  # the draws of a round, named by the key

    def __len__(self) -> int:
        """Chunks in the sliding window."""
        return min(self.chunks_seen, MAX_WINDOW)

    @property
    def reservoir_size(self) -> int:
        """Examples in the reservoir."""
        return min(self.chunks_seen * self.chunk_size, len(self._reservoir))

    def add(self, examples: NDArray[Any]) -> None:
        """Remember a new chunk, shape (C, *example_shape)."""
        expected = self._ring.shape[1:]
        if examples.shape != expected:
            raise ValueError(f"a chunk of this memory has shape {expected}, not {examples.shape}")
        self._ring[self.chunks_seen % MAX_WINDOW] = examples
        self._admit(examples, first=self.chunks_seen * self.chunk_size)
        self.chunks_seen += 1

    def _admit(self, examples: NDArray[Any], *, first: int) -> None:
        slots = admission_slots(self.seed, first + np.arange(len(examples)), size=len(self._reservoir))
        kept = slots < len(self._reservoir)
        self._reservoir[slots[kept]] = examples[kept]  # in order: of equal slots the last one stays

    def draw(self, *, round_: int, window: int, start: int, count: int) -> NDArray[Any]:
        """Examples number `start` … `start + count - 1` of the round's draws, shape (count, *example_shape)."""
        if not self.chunks_seen:
            raise ValueError("nothing to draw: the memory is empty, add a chunk first")
        drawn = self._drawn(round_, window, start + count)[start : start + count]
        examples: NDArray[Any] = (self._reservoir if window == 0 else self._recent).take(drawn, axis=0)
        return examples

    def _drawn(self, round_: int, window: int, count: int) -> NDArray[np.int64]:
        """Which examples the round's draws from the first on are, at least `count`: rows of reservoir or ring.

        A loop asks batch by batch, and one batch would cost as much as all of them: so they are made at once,
        about 15 µs, and kept until another round, window or chunk.
        """
        key = (round_, window, self.chunks_seen, self.seed)
        if key != self._key or len(self._rows) < count:
            luck = uniforms(self.seed, round_, np.arange(max(count, _DRAWS)))
            self._key, self._rows = key, self._places(luck, window)
        return self._rows

    def _places(self, luck: NDArray[np.float64], window: int) -> NDArray[np.int64]:
        """Rows of the reservoir (window 0) or of the ring that uniform numbers in [0, 1) mean."""
        if window == 0:
            return (luck * self.reservoir_size).astype(np.int64)
        back = (luck * min(window, len(self)) * self.chunk_size).astype(np.int64)
        age, within = np.divmod(back, self.chunk_size)
        rows: NDArray[np.int64] = (self.chunks_seen - 1 - age) % MAX_WINDOW * self.chunk_size + within
        return rows

    def whole(self, window: int) -> NDArray[Any]:
        """All examples of a window from the oldest on, shape (n, *example_shape); of the reservoir all it holds."""
        if window == 0:
            return self._reservoir[: self.reservoir_size]
        first = self.chunks_seen - min(window, len(self))
        chunks: NDArray[Any] = self._ring[np.arange(first, self.chunks_seen) % MAX_WINDOW]
        return chunks.reshape(-1, *chunks.shape[2:])

    def oldest(self, window: int) -> NDArray[Any]:
        """The oldest chunk of a window, shape (C, *example_shape); for the reservoir its first C examples."""
        if not self.chunks_seen:
            raise ValueError("nothing to look at: the memory is empty, add a chunk first")
        if window == 0:
            return self._reservoir[: min(self.chunk_size, self.reservoir_size)]
        chunk: NDArray[Any] = self._ring[(self.chunks_seen - min(window, len(self))) % MAX_WINDOW]
        return chunk

    def held(self) -> NDArray[Any]:
        """Everything that can still be drawn, shape (n, *example_shape), some of it twice: window and reservoir."""
        recent = self._recent[: len(self) * self.chunk_size]
        return np.concatenate([recent, self._reservoir[: self.reservoir_size]])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """All that later draws depend on."""
        return {
            "chunks_seen": np.asarray(self.chunks_seen),
            "ring": self._ring.copy(),
            "reservoir": self._reservoir.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a memory built with the same arguments."""
        for name, mine in (("ring", self._ring), ("reservoir", self._reservoir)):
            if state[name].shape != mine.shape:
                raise ValueError(
                    f"memory state {name!r} has shape {state[name].shape}, expected {mine.shape}"
                )
            mine[...] = state[name]
        self.chunks_seen = int(state["chunks_seen"])


def admission_slots(seed: ArrayLike, numbers: NDArray[np.int64], *, size: int) -> NDArray[np.int64]:
    """Where in a reservoir of `size` the examples of these numbers (from 0) go; from `size` on: nowhere."""
    slots = np.floor(uniforms(seed, RESERVOIR_STREAM << 62, numbers) * (numbers + 1)).astype(np.int64)
    return np.where(numbers < size, numbers, slots)
