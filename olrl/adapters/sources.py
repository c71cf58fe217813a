"""Where a steered loop's examples come from, each known by a number from 0 on in order of arrival."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Source(ABC):
    """Examples in the order in which they arrive.

    `leftover` counts those at the end that do not fill a round and so are never used.
    """

    leftover = 0

    @abstractmethod
    def take(self, count: int) -> Numbers | None:
        """The numbers of the next `count` examples; `None` when so many are not left."""

    @abstractmethod
    def get(self, numbers: Numbers) -> list[Any]:
        """The examples of these numbers, which have been taken and are still kept."""

    def keep_only(self, held: Callable[[], Numbers]) -> None:  # noqa: B027 # most have nothing to forget
        """Forget what is not among `held()`; asked for at times only, since to list them costs something."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """How far it has got."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`, on the same data."""


class DatasetSource(Source):
    """A data set with a length and an index, once or several times over, in its own order; nothing is copied.

    In its own order, since a stream has one; whoever wants another shuffles the data set before.

    >>> source = DatasetSource(["a", "b", "c"], epochs=2)
    >>> [source.take(2).tolist() for _ in range(3)], source.take(2), source.get(np.array([4]))
    ([[0, 1], [2, 3], [4, 5]], None, ['b'])
    """

    def __init__(self, dataset: Any, *, epochs: float = 1) -> None:
        if not len(dataset):
            raise ValueError("the data set is empty: a round needs examples")
        if not epochs > 0:
            raise ValueError(f"epochs must be positive, not {epochs!r}")
        self.size = len(dataset)
        self._dataset = dataset
        self._total = math.inf if epochs == math.inf else math.floor(self.size * epochs)
        self._taken = 0

    def take(self, count: int) -> Numbers | None:
        """The numbers of the next examples."""
        if self._taken + count > self._total:
            self.leftover = int(self._total) - self._taken
            return None
        self._taken += count
        return np.arange(self._taken - count, self._taken)

    def get(self, numbers: Numbers) -> list[Any]:
        """The examples of these numbers."""
        return [self._dataset[int(number) % self.size] for number in numbers]

    def state_dict(self) -> dict[str, Any]:
        """How many were taken."""
        return {"taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind those taken."""
        self._taken = int(state["taken"])


class StreamSource(Source):
    """Anything that can be iterated over, read no further than needed and once; keeps what may be drawn again.

    >>> source = StreamSource("abcde")
    >>> source.take(2), source.take(2), source.take(2), source.leftover
    (array([0, 1]), array([2, 3]), None, 1)
    >>> source.keep_only(lambda: np.array([2, 3]))
    >>> source.get(np.array([3, 3]))
    ['d', 'd']
    """

    def __init__(self, examples: Iterable[Any]) -> None:
        self._examples: Iterator[Any] = iter(examples)
        self._kept: dict[int, Any] = {}
        self._taken = 0
        self._clean_at = 0

    def take(self, count: int) -> Numbers | None:
        """Read on, and name what was read."""
        new = []
        for example in self._examples:
            new.append(example)
            if len(new) == count:
                break
        if len(new) < count:
            self.leftover += len(new)
            return None
        numbers = np.arange(self._taken, self._taken + count)
        self._kept.update(zip(numbers.tolist(), new, strict=True))
        self._taken += count
        return numbers

    def get(self, numbers: Numbers) -> list[Any]:
        """The examples of these numbers."""
        return [self._kept[int(number)] for number in numbers]

    def keep_only(self, held: Callable[[], Numbers]) -> None:
        """Forget the others, each time that as many have piled up as were held the last time."""
        if len(self._kept) < self._clean_at:
            return
        alive = set(held().tolist())
        self._kept = {number: example for number, example in self._kept.items() if number in alive}
        self._clean_at = 2 * len(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """How many were taken, and those kept: this holds the examples themselves."""
        return {"taken": self._taken, "numbers": list(self._kept), "examples": list(self._kept.values())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on; the caller gives an iterable that begins behind those taken."""
        self._taken = int(state["taken"])
        self._kept = dict(zip(state["numbers"], state["examples"], strict=True))


def source_of(examples: Any, *, epochs: float = 1) -> Source:
    """A source of a data set, or of anything that can be iterated over; a source is returned as it is."""
    if isinstance(examples, Source):
        return examples
    if hasattr(examples, "__getitem__") and hasattr(examples, "__len__"):
        return DatasetSource(examples, epochs=epochs)
    if not hasattr(examples, "__iter__"):
        raise ValueError(f"examples must be a data set or iterable, not {type(examples).__name__}")
    return StreamSource(examples)
