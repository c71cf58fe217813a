"""The online loop of a classifier, whose labels may come long after its predictions."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.learners.classifier import ClassifierLearner
from olrl.loop import OnlineLoop, Rounds
from olrl.monitor.signals import Signals
from olrl.streams.labelled import MAX_WAITING, LabelledChunk


class LabelledLoop(OnlineLoop):
    """An `OnlineLoop` on labelled chunks: documents are predicted as they arrive, and judged when a label comes.

    A round predicts every document that has arrived since the last one, under the weights of now, and keeps the
    predictions. Its loss and its accuracy are those of the predictions that were made for the documents whose
    labels have come; these documents are trained on from this round on, and no other ones. So a prediction was
    never made by weights that had seen its label, however late that comes. Under late labels the loss tells of
    weights as old as the labels are late; `rescore`, by which the guard looks for better ones, asks the weights
    of now.
    """

    def __init__(self, rounds: Rounds, learner: ClassifierLearner) -> None:
        super().__init__(rounds, learner)
        self._classifier = learner
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

    def state_dict(self) -> dict[str, Any]:
        """Everything but the stream, the predictions that wait for their labels among it."""
        numbers = np.array(list(self._made), dtype=np.int64)
        made = np.stack(list(self._made.values())) if self._made else np.zeros((0, 0))
        return {**super().state_dict(), "predicted": {"numbers": numbers, "log_probabilities": made}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the caller puts the stream to the same place."""
        super().load_state_dict(state)
        saved = state["predicted"]
        self._made = dict(zip(saved["numbers"].tolist(), saved["log_probabilities"], strict=True))
