"""A causal language model that learns online to answer: questions are read, answers alone are learned."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner, OptimizerMaker
from olrl.learners.learner import Examples, Judgement, Learner, UpdateReport
from olrl.learners.network import Network, Tokens
from olrl.learners.optimizer import OptimizerConfig


class AnswerNetwork(Network):
    """A library's causal language model over rows in which some tokens are context, see `olrl.streams.answers`.

    The loss of a row is the mean cross-entropy over the tokens of its answer, its end among them.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model

    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Shape (1, B)."""
        with torch.inference_mode():
            return self._losses(tokens[0])[0][None]

    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """By backpropagation into the parameters' own gradients."""
        losses = self._losses(tokens[0])[0]
        (losses * scale[0]).sum().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        return losses.detach()[None]

    def judge(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each row, and whether greedy decoding gives exactly its answer and ends there, shape (B,) both.

        It does if and only if the most probable token is the answer's at each place of it, each seen behind the
        right
        ones before: so nothing need be generated to know.
        """
        with torch.inference_mode():
            return self._losses(tokens)

    def _losses(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        whole = torch.where(tokens < -1, -2 - tokens, tokens.clamp(min=0))
        width = max(int((tokens != -1).sum(dim=1).max()), 2)
        inputs, targets = whole[:, : width - 1], whole[:, 1:width]
        wanted = tokens[:, 1:width] >= 0
        logits = self._model(input_ids=inputs, use_cache=False).logits.float()
        each = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        each = each.view(targets.shape) * wanted
        hits = ((logits.argmax(dim=2) == targets) | ~wanted).all(dim=1)
        return each.sum(dim=1) / wanted.sum(dim=1).clamp(min=1), hits


class AnswerLearner(Learner):
    """A `CausalLMLearner` with the loss on answers alone, which is judged by exact match under greedy decoding."""

    def __init__(
        self, model: torch.nn.Module, *, optimizer: OptimizerConfig | OptimizerMaker | None = None
    ) -> None:
        self.model = model
        self._network = AnswerNetwork(model)
        self._steps = CausalLMLearner(model, optimizer=optimizer, network=self._network)

    @property
    def last_move(self) -> Tensor | None:
        """How the last round that trained moved the weights."""
        return self._steps.last_move

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Mean loss of each answer, shape (n,), nats per token."""
        return self._steps.score(examples)

    def judge(self, examples: Examples) -> Judgement:
        """Losses, and whether greedy decoding gives the answer."""
        parts = torch.split(self._steps.tensor(examples), self._steps.pass_size)
        losses, hits = zip(*(self._network.judge(part) for part in parts), strict=True)
        return Judgement(losses=torch.cat(losses).double().cpu().numpy(), hits=torch.cat(hits).cpu().numpy())

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One optimizer step per batch, as a `CausalLMLearner` takes it."""
        return self._steps.update(batches, decision)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer moments and the last move."""
        return self._steps.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a learner of the same model."""
        self._steps.load_state_dict(state)
