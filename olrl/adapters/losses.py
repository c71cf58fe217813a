"""A loss of our own for scoring, since what training loops report is not what it says.

Models divide by one token too many, loops report a step that was not finite as 0 and average over what they log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

IGNORED = -100  # the label of a token that is not predicted, as in torch and transformers


@dataclass(frozen=True, kw_only=True)
class SequenceLosses:
    """Losses of n sequences: `sums` over predicted tokens, in nats, and how many these are, `tokens`; both (n,)."""

    sums: Tensor
    tokens: Tensor

    def mean(self) -> Tensor:
        """Nats per token over all of them; NaN of none."""
        return self.sums.sum() / self.tokens.sum()


# How a model is scored on a batch; changes nothing. Gradients need not be recorded.
Scorer = Callable[[torch.nn.Module, Any], SequenceLosses]


def causal_lm_losses(model: torch.nn.Module, batch: Any) -> SequenceLosses:
    """Losses of a causal language model on a batch, by next-token cross-entropy.

    `batch` is a tensor of token ids (n, L + 1), of which the first column is context, the others predicted; or
    a mapping as collators make it, with `input_ids` (n, L) and perhaps `labels` (same shape, -100 where nothing
    is predicted; without them all but padding is), `attention_mask` and whatever else the model takes. The
    model must return `logits`, or be them, shape (n, L, vocabulary).
    """
    if isinstance(batch, Tensor):
        logits = logits_of(model(batch[:, :-1]))
        return losses_of_targets(logits, batch[:, 1:])
    targets = targets_of(batch)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return losses_of_targets(logits_of(model(**inputs))[:, :-1], targets)


def losses_of_targets(logits: Tensor, targets: Tensor) -> SequenceLosses:
    """Cross-entropy of logits (n, L, V) with targets (n, L), of which -100 do not count."""
    targets = targets.to(logits.device)
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none", ignore_index=IGNORED
    )
    return SequenceLosses(sums=losses.view(targets.shape).sum(dim=1), tokens=targets.ne(IGNORED).sum(dim=1))


def targets_of(batch: Any) -> Tensor:
    """The tokens of a batch that are predicted, -100 for such as are not: (n, L), or (n, L - 1) of a mapping."""
    if isinstance(batch, Tensor):
        return batch[:, 1:]
    if not (isinstance(batch, Mapping) or hasattr(batch, "keys")) or "input_ids" not in batch:
        raise ValueError(
            "a batch is a tensor of token ids or a mapping with input_ids, not "
            f"{type(batch).__name__}: give losses= for batches of your own kind"
        )
    if (labels := batch.get("labels")) is not None:
        found: Tensor = labels[:, 1:]
        return found
    targets: Tensor = batch["input_ids"][:, 1:]
    mask = batch.get("attention_mask")
    return targets if mask is None else targets.masked_fill(mask[:, 1:] == 0, IGNORED)


def predicted_tokens(batch: Any) -> NDArray[np.int64]:
    """The ids of a batch's predicted tokens, one after another, shape (tokens,)."""
    targets = targets_of(batch).detach().cpu().numpy().astype(np.int64)
    kept: NDArray[np.int64] = targets[targets != IGNORED]
    return kept


def logits_of(output: Any) -> Tensor:
    """The logits in what a model returned; ValueError if there are none."""
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"the model returned no logits but {type(output).__name__}: give losses= to score it in your own way"
        )
    return logits
