"""AdamW and SGD for many learners at once, each with its own rate, decay and number of steps."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from olrl.learners.network import Scratch
from olrl.learners.optimizer import STACKABLE, OptimizerConfig


@dataclass(frozen=True)
class Moments:
    """What an optimizer remembers of n learners: `first` and `second` (n, P), and the steps taken (n, 1)."""

    first: Tensor
    second: Tensor
    steps: Tensor

    @classmethod
    def zeros(cls, like: Tensor) -> "Moments":
        """Of learners that took no step yet."""
        steps = torch.zeros(len(like), 1, dtype=torch.float64, device=like.device)
        return cls(torch.zeros_like(like), torch.zeros_like(like), steps)

    def reset(self, which: Any) -> None:
        """Forget all of some learners."""
        for tensor in (self.first, self.second, self.steps):
            tensor[which] = 0.0

    def of(self, which: Any) -> "Moments":
        """A copy of those of some learners."""
        return Moments(self.first[which], self.second[which], self.steps[which])

    def view(self, part: slice) -> "Moments":
        """Those of a run of learners, in place."""
        return Moments(self.first[part], self.second[part], self.steps[part])

    def put(self, which: Any, other: "Moments") -> None:
        """Replace those of some learners."""
        self.first[which], self.second[which], self.steps[which] = other.first, other.second, other.steps


class StackedOptimizer:
    """One step of `torch.optim.AdamW` or `torch.optim.SGD` for each learner, in place.

    On a CPU, AdamW of float32 weights is compiled (`olrl.learners.kernels`): one pass over the memory where
    the same formulas in torch take seven.
    """

    def __init__(self, config: OptimizerConfig) -> None:
        if config.name not in STACKABLE:
            raise ValueError(
                f"stacked learners have {' or '.join(STACKABLE)}, not {config.name}: train them one by one"
            )
        self.config = config
        self._scratch = Scratch()

    @torch.no_grad()
    def step(self, values: Tensor, gradients: Tensor, moments: Moments, lr: Tensor, decay: Tensor) -> None:
        """Move `values`, shape (n, P), at rates and decays of shape (n, 1), and put `gradients` to zero."""
        moments.steps.add_(1.0)
        decaying = bool((decay > 0).any())
        if self.config.name == "sgd":
            # Torch's SGD lets the decay pass through the momentum, its AdamW does not.
            self._sgd(values, gradients.addcmul(values, decay) if decaying else gradients, moments, lr)
            gradients.zero_()
            return
        if values.device.type == "cpu" and values.dtype == torch.float32:
            self._compiled_adamw(values, gradients, moments, lr, decay)
            return
        if decaying:
            values.mul_(1.0 - lr * decay)
        self._adamw(values, gradients, moments, lr)
        gradients.zero_()

    def _compiled_adamw(
        self, values: Tensor, gradients: Tensor, moments: Moments, lr: Tensor, decay: Tensor
    ) -> None:
        from olrl.learners.kernels import adamw  # numba takes a second to import

        adamw(
            values.numpy(),
            gradients.numpy(),
            moments.first.numpy(),
            moments.second.numpy(),
            moments.steps.numpy(),
            lr.numpy(),
            decay.numpy(),
            *self.config.betas,
            self.config.eps,
        )

    def _adamw(self, values: Tensor, gradients: Tensor, moments: Moments, lr: Tensor) -> None:
        """Loshchilov and Hutter (2019); both bias corrections are folded into two numbers a learner."""
        b1, b2 = self.config.betas
        root = (1.0 - b2**moments.steps).sqrt_()
        rate = (lr * root / (1.0 - b1**moments.steps)).to(values.dtype)
        eps = (self.config.eps * root).to(values.dtype)
        moments.first.lerp_(gradients, 1.0 - b1)
        moments.second.mul_(b2).addcmul_(gradients, gradients, value=1.0 - b2)
        scale = torch.sqrt(moments.second, out=self._scratch.take("scale", *values.shape, like=values))
        torch.div(moments.first, scale.add_(eps), out=scale)
        values.addcmul_(scale, rate, value=-1.0)

    def _sgd(self, values: Tensor, gradients: Tensor, moments: Moments, lr: Tensor) -> None:
        """The first gradient starts the momentum whole, as torch has it."""
        if self.config.momentum:
            moments.first.mul_(self.config.momentum).add_(gradients)
            gradients = moments.first
        values.addcmul_(gradients, lr, value=-1.0)
