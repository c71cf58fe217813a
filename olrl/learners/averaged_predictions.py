"""A language model that predicts by the mean over several weights drawn from its posterior."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.control.decision import Decision
from olrl.draws import uniforms
from olrl.learners.causal_lm import CausalLMLearner
from olrl.learners.learner import Examples, Learner, UpdateReport

_Told = Callable[[Tensor, Tensor], Tensor]
_SEEDS = 2**32  # torch's generator on a CPU looks at no more bits of a seed


class AveragedPredictions(Learner):
    """A causal LM with a posterior (`VON`), scored by the average of its predictions under `passes` draws from it.

    A token's probability is its mean over draws: less sure of itself than the posterior's mean where draws
    disagree. Draws are Gaussian, keyed by `seed` and the number of steps taken: scoring the same text again before
    the next step gives the same losses. All else is the learner's that is wrapped.

    Scoring an example takes `passes` forward passes through the model's own code, and the loop charges them. A draw
    of the weights is made anew for each of them, and another copy of the weights is held meanwhile. ValueError for
    a learner without a posterior, or less than one pass.
    """

    def __init__(self, learner: CausalLMLearner, *, passes: int, seed: int = 0) -> None:
        if passes < 1:
            raise ValueError(f"predictions are averaged over at least 1 draw, not {passes!r}")
        if learner.posterior is None:
            raise ValueError(
                "there is nothing to draw from: only a learner with the optimizer von has a posterior"
            )
        self.passes = passes
        self._learner, self._posterior, self._seed = learner, learner.posterior, seed

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Loss of each sequence under the averaged predictions, shape (n,), nats per predicted token."""
        tokens = torch.from_numpy(examples.astype(np.int64))
        logarithms = [self._each(tokens, _chosen) for _ in self._drawn()]
        averaged = torch.logsumexp(torch.stack(logarithms), dim=0) - math.log(self.passes)
        losses: NDArray[np.float64] = -averaged.double().mean(dim=1).cpu().numpy()
        return losses

    def probabilities(self, examples: Examples) -> NDArray[np.float32]:
        """The averaged probability of every token at every place, shape (n, L, V)."""
        tokens = torch.from_numpy(examples.astype(np.int64))
        each = [self._each(tokens, _distribution) for _ in self._drawn()]
        averaged: NDArray[np.float32] = torch.stack(each).mean(dim=0).cpu().numpy()
        return averaged

    def _each(self, tokens: Tensor, told: _Told) -> Tensor:
        return _over_passes(self._learner, tokens, told)

    def _drawn(self) -> Iterator[None]:
        """Once for each draw, which is in the place of the weights meanwhile."""
        values = self._learner.flat.values
        mean, deviations = values.detach().clone(), self._posterior.deviations(values)
        generator = torch.Generator(device=values.device)
        try:
            for k in range(self.passes):
                key = uniforms(self._seed, self._posterior.steps, k + 1)[0]  # 0 is what training draws by
                noise = torch.empty_like(mean).normal_(generator=generator.manual_seed(int(key * _SEEDS)))
                with torch.no_grad():
                    torch.addcmul(mean, noise, deviations, out=values)
                yield
        finally:
            with torch.no_grad():
                values.copy_(mean)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """As the learner that is wrapped: trained are draws of its own."""
        return self._learner.update(batches, decision)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """That of the learner that is wrapped: draws are keyed by what it says."""
        return self._learner.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()`."""
        self._learner.load_state_dict(state)


def probabilities(learner: CausalLMLearner, examples: Examples) -> NDArray[np.float32]:
    """The probability of every token at every place under a learner's weights, shape (n, L, V)."""
    tokens = torch.from_numpy(examples.astype(np.int64))
    found: NDArray[np.float32] = _over_passes(learner, tokens, _distribution).cpu().numpy()
    return found


def _over_passes(learner: CausalLMLearner, tokens: Tensor, told: _Told) -> Tensor:
    """What `told` makes of the logits (b, L, V) and targets (b, L) of a pass, over all passes, (n, …)."""
    parts = []
    with torch.inference_mode():
        for part in torch.split(tokens.to(learner.flat.values.device), learner.pass_size):
            logits = learner.model(input_ids=part[:, :-1], use_cache=False).logits.float()
            parts.append(told(logits, part[:, 1:]))
    return torch.cat(parts)


def _distribution(logits: Tensor, targets: Tensor) -> Tensor:
    """The probabilities of all tokens, shape (b, L, V)."""
    return logits.softmax(dim=2)


def _chosen(logits: Tensor, targets: Tensor) -> Tensor:
    """The log probability of each target, shape (b, L)."""
    return logits.log_softmax(dim=2).gather(2, targets[..., None])[..., 0]
