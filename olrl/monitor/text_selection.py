"""Which of the things that stand in texts tell classes apart now: chosen online, and anew as metrics change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.streams.text_features import BUCKETS

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """How features are chosen; rounds are those in which labels came.

    period: rounds from one selection to the next where nothing happens; until that they are 2, 4, 8, ... at first,
        and 5, 10, 20 after something has happened. None: there is one selection, after `first` rounds.
    horizon: rounds over which evidence is forgotten to a third.
    kept: share of the evidence that is kept when something happens.
    chance: chi-squared, of one degree of freedom, that an association must reach to be believed (1 in 1,000).
    gap: rounds between selections, at least.
    first: rounds before the only selection, where there is but one.
    """

    period: int | None = 25
    horizon: float = 50.0
    kept: float = 0.5
    chance: float = 10.83
    gap: int = 5
    first: int = 8


@dataclass(frozen=True, kw_only=True)
class Reselection:
    """That features were chosen anew: why, how many there are now, and how many of these were not before."""

    reason: str
    chosen: int
    changed: int


class Associations:
    """How strongly each feature goes with each class, of documents of late more than of old ones.

    Sums that are all that is kept: documents by class, and those with the feature by class, a document's weight
    falling by 1/e in `horizon` rounds. Without forgetting, `correlations` are those of river's `PearsonCorr`
    between the presence of a feature and that of a class (its `SelectKBest` ranks by them); as arrays, since a
    Python object for each of 2,048 features and each of 3 classes takes 0.2 s for 16 documents, where this takes
    0.1 ms, and cannot be put into a checkpoint that is no pickle.
    """

    def __init__(self, *, n_classes: int, n_features: int = BUCKETS, horizon: float = math.inf) -> None:
        self._keep = math.exp(-1.0 / horizon)
        self.documents = np.zeros(n_classes)
        self.present = np.zeros((n_classes, n_features))

    def learn(self, bits: NDArray[np.bool_], classes: NDArray[np.int64]) -> None:
        """Documents of one round: features (n, n_features), and classes (n,)."""
        self.forget(self._keep)
        of_class = np.eye(len(self.documents))[classes]
        self.documents += of_class.sum(axis=0)
        self.present += of_class.T @ bits

    def forget(self, keep: float) -> None:
        """Let all documents so far count by this factor."""
        self.documents *= keep
        self.present *= keep

    def correlations(self) -> Array:
        """Pearson's r of a feature's presence and a class's, shape (n_classes, n_features); 0 where undefined."""
        total = max(float(self.documents.sum()), 1e-12)
        share, of_class = self.present.sum(axis=0) / total, self.documents[:, None] / total
        product = share * (1 - share) * of_class * (1 - of_class)
        covariance = self.present / total - share * of_class
        found: Array = np.zeros_like(covariance)
        np.divide(covariance, np.sqrt(np.maximum(product, 0)), out=found, where=product > 1e-12)
        return found

    def strongest(self, most: int, *, chance: float) -> NDArray[np.bool_]:
        """At most so many features, those with the largest |r| for any class, each believed (n r² ≥ `chance`)."""
        score = np.abs(self.correlations()).max(axis=0)
        order = np.argsort(-score, kind="stable")[:most]
        chosen = np.zeros(len(score), dtype=np.bool_)
        chosen[order[score[order] ** 2 * self.documents.sum() >= chance]] = True
        return chosen


class TextSelection:
    """Chooses at most `most` features, after each round that is due for it.

    A selection is due when a drift alarm has fired ("drift alarm"), when the accuracy over some five rounds lies
    three standard deviations below that over some fifty ("accuracy fell"), and by the clock ("period"). Before the
    first one no feature is let through.

    >>> selection = TextSelection(most=2, n_classes=2)
    >>> bits = np.zeros((4, BUCKETS), dtype=np.bool_)
    >>> bits[:2, 7] = True
    >>> for _ in range(4):  # due after 2 rounds, when 8 documents prove nothing yet, and after 4 more
    ...     found = selection.round_ended(bits, np.array([0, 0, 1, 1]), accuracy=0.5, alarms=())
    >>> found, selection.chosen.nonzero()[0].tolist()
    (None, [])
    >>> for _ in range(2):
    ...     found = selection.round_ended(bits, np.array([0, 0, 1, 1]), accuracy=0.5, alarms=())
    >>> found, selection.chosen.nonzero()[0].tolist()
    (Reselection(reason='period', chosen=1, changed=1), [7])
    """

    def __init__(
        self,
        *,
        most: int,
        n_classes: int,
        n_features: int = BUCKETS,
        settings: SelectionSettings | None = None,
    ) -> None:
        self._settings = settings or SelectionSettings()
        self._most = most
        self._associations = Associations(
            n_classes=n_classes, n_features=n_features, horizon=self._settings.horizon
        )
        self.chosen = np.zeros(n_features, dtype=np.bool_)
        self._rounds = self._last = 0
        self._wait = 2 if self._settings.period is not None else self._settings.first
        self._accuracy = _Accuracy()

    def round_ended(
        self,
        bits: NDArray[np.bool_],
        classes: NDArray[np.int64],
        *,
        accuracy: float,
        alarms: Sequence[str],
    ) -> Reselection | None:
        """Learn of the documents whose labels have come, and choose if that is due.

        `accuracy` is the share of them that was predicted right, before; `alarms` are the detectors that fired.
        """
        self._associations.learn(bits, classes)
        self._rounds += 1
        fell = self._accuracy.fell(accuracy, labels=len(classes))
        since = self._rounds - self._last
        again = self._settings.period is not None and self._last > 0 and since >= self._settings.gap
        if again and (alarms or fell):
            self._associations.forget(self._settings.kept)
            self._accuracy = _Accuracy()
            self._wait = self._settings.gap
            return self._choose("drift alarm" if alarms else "accuracy fell")
        if since < self._wait:
            return None
        self._wait = min(2 * self._wait, self._settings.period or 2**62)
        if self._settings.period is None:
            self._wait = 2**62
        return self._choose("period")

    def _choose(self, reason: str) -> Reselection:
        before = self.chosen
        self.chosen = self._associations.strongest(self._most, chance=self._settings.chance)
        self._last = self._rounds
        changed = int((self.chosen & ~before).sum())
        return Reselection(reason=reason, chosen=int(self.chosen.sum()), changed=changed)

    def state_dict(self) -> dict[str, Any]:
        """All that the next selection depends on, and the one in force."""
        return {
            "documents": self._associations.documents.copy(),
            "present": self._associations.present.copy(),
            "chosen": self.chosen.copy(),
            "rounds": self._rounds,
            "last": self._last,
            "wait": self._wait,
            "accuracy": self._accuracy.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a selection from as many features for as many classes."""
        present, chosen = np.array(state["present"], dtype=np.float64), np.array(state["chosen"], np.bool_)
        if present.shape != self._associations.present.shape or chosen.shape != self.chosen.shape:
            raise ValueError("the saved selection is of other features or classes")
        self._associations.present, self.chosen = present, chosen
        self._associations.documents = np.array(state["documents"], dtype=np.float64)
        self._rounds, self._last, self._wait = (int(state[name]) for name in ("rounds", "last", "wait"))
        self._accuracy.load_state_dict(state["accuracy"])


class _Accuracy:
    """Whether the accuracy of late has fallen below what it was: by more than three standard errors."""

    _SHORT, _LONG, _ERRORS = 5, 50, 3.0

    def __init__(self) -> None:
        self._short = self._long = 0.0
        self._rounds = 0

    def fell(self, accuracy: float, *, labels: int) -> bool:
        """Take in a round; averages are plain means at first."""
        self._rounds += 1
        self._short += (accuracy - self._short) / min(self._rounds, self._SHORT)
        self._long += (accuracy - self._long) / min(self._rounds, self._LONG)
        if self._rounds < 3 * self._SHORT:
            return False
        spread = math.sqrt(max(self._long * (1 - self._long), 0.0) / (2 * self._SHORT * labels))
        return self._short < self._long - self._ERRORS * spread - 1e-9

    def state_dict(self) -> dict[str, float]:
        return {"short": self._short, "long": self._long, "rounds": self._rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._short, self._long = float(state["short"]), float(state["long"])
        self._rounds = int(state["rounds"])
