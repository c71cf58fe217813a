"""What of the past can be drawn: a sliding window of the newest chunks, and a uniform sample of everything."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from olrl.control.decision import WINDOWS
from olrl.draws import uniforms

MAX_WINDOW = max(WINDOWS)
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
        self._reservoir = np.zeros((reservoir_size, *example_shape), dtype=dtype)

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
        # In order: a later example may displace an earlier one.
        for slot, example in zip(slots, examples, strict=True):
            if slot < len(self._reservoir):
                self._reservoir[slot] = example

    def draw(self, *, round_: int, window: int, start: int, count: int) -> NDArray[Any]:
        """Examples number `start` … `start + count - 1` of the round's draws, shape (count, *example_shape)."""
        if not self.chunks_seen:
            raise ValueError("nothing to draw: the memory is empty, add a chunk first")
        luck = uniforms(self.seed, round_, start + np.arange(count))
        if window == 0:
            sampled: NDArray[Any] = self._reservoir[np.floor(luck * self.reservoir_size).astype(np.int64)]
            return sampled
        back = np.floor(luck * min(window, len(self)) * self.chunk_size).astype(np.int64)
        age, within = np.divmod(back, self.chunk_size)
        recent: NDArray[Any] = self._ring[(self.chunks_seen - 1 - age) % MAX_WINDOW, within]
        return recent

    def oldest(self, window: int) -> NDArray[Any]:
        """The oldest chunk of a window, shape (C, *example_shape); for the reservoir its first C examples."""
        if not self.chunks_seen:
            raise ValueError("nothing to look at: the memory is empty, add a chunk first")
        if window == 0:
            return self._reservoir[: min(self.chunk_size, self.reservoir_size)]
        chunk: NDArray[Any] = self._ring[(self.chunks_seen - min(window, len(self))) % MAX_WINDOW]
        return chunk

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
