"""What a classifier predicted, counted: accuracy and F1."""

from collections import Counter
from collections.abc import Iterable


class ConfusionCounts:
    """How often each class was predicted where each class was right.

    >>> counts = ConfusionCounts()
    >>> counts.add([(0, 0, 3), (0, 1, 1), (1, 1, 4)])
    >>> counts.accuracy, round(counts.f1(0), 3), round(counts.macro_f1, 3)
    (0.875, 0.857, 0.873)
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, int]] = Counter()

    def add(self, counts: Iterable[tuple[int, int, int]]) -> None:
        """Take in (class, predicted class, documents)."""
        for label, guess, count in counts:
            self._counts[label, guess] += count

    @property
    def total(self) -> int:
        """Documents that were judged."""
        return self._counts.total()

    @property
    def classes(self) -> list[int]:
        """The classes that occurred or were predicted."""
        return sorted({each for pair in self._counts for each in pair})

    @property
    def accuracy(self) -> float:
        """Share that was predicted right; ZeroDivisionError if nothing was judged."""
        return sum(n for (label, guess), n in self._counts.items() if label == guess) / self.total

    def documents(self, label: int) -> int:
        """Documents of a class."""
        return sum(n for (right, _), n in self._counts.items() if right == label)

    def f1(self, label: int) -> float:
        """2 · hits / (2 · hits + false positives + false negatives); 0 where nothing was right."""
        hits = self._counts[label, label]
        wrong = sum(n for (right, guess), n in self._counts.items() if (right == label) != (guess == label))
        return 2 * hits / (2 * hits + wrong) if hits else 0.0

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the classes that occurred or were predicted."""
        return sum(map(self.f1, self.classes)) / len(self.classes)
