"""The log-bilinear model and its gradient, compiled for the CPU."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.learners.log_bilinear_network import LogBilinearNetwork
from olrl.learners.network import Network, Tokens
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.stacked_optimizer import Moments

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CompiledLogBilinearNetwork(Network):
    """What `LogBilinearNetwork` computes, to rounding, learner by learner in compiled loops: five times as fast.

    A sequence's loss and gradient are the same to the bit whatever is computed beside them. Sequences of scale
    0 cost no gradient, but their losses are computed. Making the first one imports numba, and the first call of
    each kind compiles or reads what an earlier run compiled.
    """

    pass_size = 256
    sequences_at_once = 8

    def __init__(self, config: Any) -> None:
        from olrl.learners import kernels  # numba takes a second to import

        self._context = int(config.context)
        self._kernels = kernels

    @staticmethod
    def computes(model: torch.nn.Module) -> bool:
        """Whether this is the function that `model` computes, on the weights it trains, where it is."""
        on_cpu = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in model.parameters())
        return on_cpu and LogBilinearNetwork.computes(model)

    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (n, B)."""
        losses = torch.empty(tokens.shape[:2])
        self._kernels.losses_of(weights.numpy(), tokens.numpy(), self._context, losses.numpy())
        return losses

    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """Forward and backward, sequence by sequence."""
        losses = torch.empty(tokens.shape[:2])
        arrays = (weights.numpy(), tokens.numpy(), self._context, scale.numpy(), to.numpy(), losses.numpy())
        self._kernels.add_gradients_of(*arrays)
        return losses

    def train_round(
        self,
        values: Tensor,
        moments: Moments,
        last_move: Tensor,
        which: Ints,
        tokens: Tokens,
        *,
        batch_size: Ints,
        updates: Ints,
        lr: Floats,
        weight_decay: Floats,
        optimizer: OptimizerConfig,
        counts: Ints,
        figures: Floats,
    ) -> None:
        """A whole round of `LearnerStack.update` under AdamW, learner by learner, in place.

        A learner's few hundred kilobytes stay in the cache from its first to its last step. `counts` (2, k)
        and `figures` (5, k) are the fields of `StackReports`, in their order.
        """
        self._kernels.train_round(
            values.numpy(),
            moments.first.numpy(),
            moments.second.numpy(),
            moments.steps.numpy(),
            last_move.numpy(),
            which,
            tokens.numpy(),
            self._context,
            batch_size,
            updates,
            lr,
            weight_decay,
            *optimizer.betas,
            optimizer.eps,
            counts,
            figures,
        )
