"""A causal language model that learns online with differential privacy (DP-SGD)."""

import math
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.network import Network
from olrl.learners.networks import network_of
from olrl.learners.optimizer import OptimizerConfig

_AT_ONCE_NUMBERS = 1 << 24  # of gradients held at once, 64 MiB in float32


class PrivateLMLearner(Learner):
    """A causal LM whose every move is made of clipped, summed and noised gradients, and so is all that it tells.

    A step over a Poisson-sampled batch moves by (Σ gᵢ · min(1, clip / ‖gᵢ‖) + N(0, (noise · clip)²)) / `expected`
    (Abadi et al., 2016), where `expected` is the expected size of a batch, not the actual one, which is private.
    An empty batch is a step too. The gradients of single sequences are those of as many learners with the same
    weights.
    `generator` is for tests: by default noise comes from the system's entropy and cannot be drawn again, since who
    knows the seed can take the noise off. Scoring adds no noise: what `score` returns is not private.

    Costs what a stack of as many learners costs, and memory for a gradient and a copy of the weights a sequence,
    64 MiB of each at most (or one).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        noise: float,
        clip: float,
        expected: int,
        optimizer: OptimizerConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self._plain = CausalLMLearner(model, optimizer=optimizer)
        self._network: Network = network_of(model, learners=2)
        self._noise, self._clip, self._expected = noise, clip, expected
        self._generator = generator or _from_entropy(self._flat.values.device)

    @property
    def _flat(self) -> Any:
        return self._plain.flat

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Mean loss of each sequence, shape (n,), nats per predicted token; not private."""
        return self._plain.score(examples)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One step per batch at the decision's rate; of gradients only what is noised is told, and no loss."""
        start = self._flat.values.detach().clone()
        last_move = self._plain.last_move
        grad_norm = grad_cos = None
        steps = 0
        for batch in batches:
            self._flat.grads.copy_(self._private_gradient(batch))
            if not steps:
                grad_norm = float(self._flat.grads.norm())
                grad_cos = None if last_move is None else _opposite_cosine(self._flat.grads, last_move)
            self._plain.step(decision)
            steps += 1
        if steps:
            self._plain.last_move = self._flat.values.detach() - start
        norm = float(start.norm())
        moved = steps > 0 and norm > 0 and self._plain.last_move is not None
        return UpdateReport(
            updates=steps,
            examples=steps * self._expected,
            grad_norm=grad_norm,
            grad_cos=grad_cos,
            update_ratio=float(self._plain.last_move.norm()) / norm if moved else None,  # type: ignore[union-attr]
        )

    def _private_gradient(self, batch: Examples) -> torch.Tensor:
        total = self._clipped_sum(batch)
        noise = torch.empty_like(total).normal_(generator=self._generator)
        return (total + self._noise * self._clip * noise) / self._expected

    def _clipped_sum(self, batch: Examples) -> torch.Tensor:
        """The sum of the sequences' gradients, each of a norm of at most `clip`; shape (P,)."""
        weights = self._flat.values.detach()
        total = torch.zeros_like(weights)
        at_once = max(1, _AT_ONCE_NUMBERS // len(weights))
        for k in range(0, len(batch), at_once):
            tokens = torch.from_numpy(batch[k : k + at_once].astype(np.int64)).to(weights.device)[:, None]
            rows = weights.repeat(len(tokens), 1)
            gradients = torch.zeros_like(rows)
            self._network.add_gradients(
                rows, tokens, to=gradients, scale=torch.ones(tokens.shape[:2], device=weights.device)
            )
            total += clipped(gradients, self._clip).sum(dim=0)
        return total

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """As that of a learner without privacy; the generator is in none, for its secrecy is what protects."""
        return self._plain.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()`, with fresh noise."""
        self._plain.load_state_dict(state)


def clipped(gradients: torch.Tensor, clip: float) -> torch.Tensor:
    """Rows, shape (n, P), scaled down to a norm of at most `clip`; a row that is not finite counts as zeros.

    >>> clipped(torch.tensor([[3.0, 4.0], [0.3, 0.4], [torch.nan, 1.0]]), 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000],
            [0.0000, 0.0000]])
    """
    norms = gradients.norm(dim=1, keepdim=True)
    # The last place of a norm is rounded: a bound that holds needs a little room.
    factor = (clip * (1 - 1e-6) / norms.clamp(min=1e-30)).clamp(max=1.0)
    return torch.where(norms.isfinite(), gradients * factor, torch.zeros_like(gradients))


def _opposite_cosine(gradient: torch.Tensor, move: torch.Tensor) -> float | None:
    length = float(gradient.norm()) * float(move.norm())
    return -float(torch.dot(gradient, move)) / length if math.isfinite(length) and length > 0 else None


def _from_entropy(device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(secrets.randbits(63))
