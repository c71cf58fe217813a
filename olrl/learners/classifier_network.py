"""Losses and gradients of classifiers: a linear head on given features, or a whole model over tokens."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from olrl.learners.network import Network

# (n, B, 1 + …): B documents for each of n learners, the class in column 0, behind it features or tokens.
Rows = Tensor


class ClassifierNetwork(Network):
    """What a classifier computes for one learner: log probabilities of the classes.

    Behind the class, rows hold what `logits` looks at. The model's parameters must be views of the learner's row of
    weights, and their gradients of its row of gradients, as `FlatParameters` arranges it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model: Any = model  # a module has whatever attributes it has

    def logits(self, rows: Tensor) -> Tensor:
        """Shape (B, classes), of rows (B, 1 + …)."""
        logits: Tensor = self._model(rows[:, 1:])
        return logits

    def log_probabilities(self, rows: Tensor) -> Tensor:
        """Shape (B, classes), of rows (B, 1 + …), float32; no gradient is recorded."""
        with torch.inference_mode():
            return functional.log_softmax(self.logits(rows).float(), dim=1)

    def losses(self, weights: Tensor, tokens: Rows) -> Tensor:
        """Loss of each document at its class, shape (1, B), nats."""
        classes = tokens[0, :, :1].long()
        return -self.log_probabilities(tokens[0]).gather(1, classes)[None, :, 0]

    def add_gradients(self, weights: Tensor, tokens: Rows, *, to: Tensor, scale: Tensor) -> Tensor:
        """By backpropagation into the parameters' own gradients."""
        classes = tokens[0, :, 0].long()
        losses = functional.cross_entropy(self.logits(tokens[0]).float(), classes, reduction="none")
        (losses * scale[0]).sum().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        return losses.detach()[None]


class SequenceNetwork(ClassifierNetwork):
    """A transformers model for sequence classification, over rows of tokens with padding below zero at their end.

    Padding is given to the model as its own padding token, with an attention mask.
    """

    def logits(self, rows: Tensor) -> Tensor:
        """Shape (B, classes); columns in which all rows are padding are not computed."""
        tokens = rows[:, 1:]
        mask = tokens >= 0
        width = max(int(mask.sum(dim=1).max()), 1)
        tokens, mask = tokens[:, :width], mask[:, :width].clone()
        mask[:, 0] = True  # a text without a token is one padding token
        inputs = tokens.masked_fill(tokens < 0, self._model.config.pad_token_id)
        logits: Tensor = self._model(input_ids=inputs, attention_mask=mask.long()).logits
        return logits
