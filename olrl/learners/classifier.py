"""A classifier that learns online."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner, OptimizerMaker
from olrl.learners.classifier_network import ClassifierNetwork
from olrl.learners.learner import Examples, Judgement, Learner, UpdateReport
from olrl.learners.optimizer import OptimizerConfig


class ClassifierLearner(Learner):
    """A model that tells classes apart, with its optimizer.

    Examples are rows (n, 1 + …): the class in column 0, behind it what `network` looks at, tokens or features. The
    loss of a document is the negative log probability of its class, nats. Weights, optimizer and what is measured
    of a step are a `CausalLMLearner`'s, with another network.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        network: ClassifierNetwork,
        *,
        row: tuple[int, ...],
        dtype: np.dtype[Any],
        optimizer: OptimizerConfig | OptimizerMaker | None = None,
        pass_size: int = 64,
    ) -> None:
        self.model = model
        self.network = network
        self.row, self.dtype = row, dtype  # shape and kind of an example, for a memory
        self._steps = CausalLMLearner(model, optimizer=optimizer, network=network, pass_size=pass_size)

    @property
    def flat(self) -> Any:
        """Weights and gradients as two vectors."""
        return self._steps.flat

    @property
    def last_move(self) -> torch.Tensor | None:
        """How the last round that trained moved the weights."""
        return self._steps.last_move

    def log_probabilities(self, examples: Examples) -> NDArray[np.float64]:
        """Of each class, natural logarithms, shape (n, classes), whatever class stands in column 0."""
        rows = self._steps.tensor(examples)
        parts = [self.network.log_probabilities(part) for part in torch.split(rows, self._steps.pass_size)]
        found: NDArray[np.float64] = torch.cat(parts).double().cpu().numpy()
        return found

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Loss of each document at its class, shape (n,), nats."""
        return self._steps.score(examples)

    def judge(self, examples: Examples) -> Judgement:
        """Losses, and whether the most probable class is the right one."""
        found, classes = self.log_probabilities(examples), examples[:, 0].astype(np.int64)
        losses = -found[np.arange(len(found)), classes]
        return Judgement(losses=losses, hits=found.argmax(axis=1) == classes)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One optimizer step per batch, as a `CausalLMLearner` takes it."""
        return self._steps.update(batches, decision)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer moments and the last move."""
        return self._steps.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a learner of the same model."""
        self._steps.load_state_dict(state)
