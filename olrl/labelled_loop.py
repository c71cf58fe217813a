"""The online loop of a classifier, whose labels may come long after its predictions."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.classifier import ClassifierLearner
from olrl.loop import OnlineLoop, RoundRecord, Rounds
from olrl.models.text_head import TextHead
from olrl.monitor.signals import Signals
from olrl.monitor.text_selection import Reselection, TextSelection
from olrl.streams.labelled import MAX_WAITING, LabelledChunk
from olrl.streams.text_features import unpack


class LabelledLoop(OnlineLoop):
    """An `OnlineLoop` on labelled chunks: documents are predicted as they arrive, and judged when a label comes.

    A round predicts every document that has arrived since the last one, under the weights of now, and keeps the
    predictions. Its loss and its accuracy are those of the predictions that were made for the documents whose
    labels have come; these documents are trained on from this round on, and no other ones. So a prediction was
    never made by weights that had seen its label, however late that comes. Under late labels the loss tells of
    weights as old as the labels are late; `rescore`, by which the guard looks for better ones, asks the weights
    of now.

    Where the classifier is a `TextHead`, `selection` chooses what it sees of the texts, from labels as they come:
    after a round's predictions are judged and before it trains.
    """

    def __init__(
        self, rounds: Rounds, learner: ClassifierLearner, *, selection: TextSelection | None = None
    ) -> None:
        super().__init__(rounds, learner)
        self._classifier = learner
        self._selection = selection
        self._let_through()
        self._made: dict[int, NDArray[np.float64]] = {}  # log probabilities by document

    def observe(self) -> Signals | None:
        """Predict what has arrived, judge what is known; `None` at the stream's end."""
        examples = self.rounds.next_examples()
        if examples is None:
            return None
        chunk = self.rounds.chunk
        assert isinstance(chunk, LabelledChunk)
        if len(chunk.arrivals):
            made = self._classifier.log_probabilities(chunk.arrivals)
            self._made.update(zip(chunk.arrival_numbers.tolist(), made, strict=True))
        known = np.stack([self._made.pop(number) for number in chunk.numbers.tolist()])
        for number in list(self._made)[:-MAX_WAITING]:  # the chunker has given these up
            del self._made[number]
        classes = chunk.tokens[:, 0].astype(np.int64)
        losses = -known[np.arange(len(known)), classes]
        probes = examples[len(known) :]
        if len(probes):
            losses = np.concatenate([losses, self.learner.score(probes)])
        predicted = known.argmax(axis=1)
        counts = Counter(zip(classes.tolist(), predicted.tolist(), strict=True))
        judged = tuple((label, guess, count) for (label, guess), count in sorted(counts.items()))
        return self.rounds.observed(losses, hits=predicted == classes, judged=judged)

    def apply(self, decision: Decision) -> RoundRecord:
        """As any loop, on features chosen anew where that is due."""
        chosen = self._choose()
        return replace(super().apply(decision), reselected=chosen)

    def _choose(self) -> Reselection | None:
        chunk, signals = self.rounds.chunk, self.rounds.signals
        if self._selection is None or chunk is None or signals is None or signals.metric is None:
            return None
        head = self._head
        chosen = self._selection.round_ended(
            unpack(chunk.tokens[:, 1 + head.n_features :]),
            chunk.tokens[:, 0].astype(np.int64),
            accuracy=signals.metric,
            alarms=signals.alarms,
        )
        self._let_through()
        return chosen

    @property
    def _head(self) -> TextHead:
        head = self._classifier.model
        assert isinstance(head, TextHead)
        return head

    def _let_through(self) -> None:
        if self._selection is not None:
            self._head.let_through(self._selection.chosen)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the stream, the predictions that wait for their labels among it."""
        numbers = np.array(list(self._made), dtype=np.int64)
        made = np.stack(list(self._made.values())) if self._made else np.zeros((0, 0))
        state = {**super().state_dict(), "predicted": {"numbers": numbers, "log_probabilities": made}}
        return state if self._selection is None else {**state, "selection": self._selection.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        super().load_state_dict(state)
        saved = state["predicted"]
        self._made = dict(zip(saved["numbers"].tolist(), saved["log_probabilities"], strict=True))
        if self._selection is not None:
            self._selection.load_state_dict(state["selection"])
            self._let_through()
