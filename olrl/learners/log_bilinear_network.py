"""The log-bilinear model (`olrl.models.log_bilinear`) and its gradient written out, for n learners at once.

For any device; on a CPU `CompiledLogBilinearNetwork` computes the same.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from olrl.learners.network import Network, Tokens, add_rows_at, cross_entropy, per_token, rows_at, sums_at

_V, _NIBBLES = 256, 16


class LogBilinearNetwork(Network):
    """Losses and gradients of log-bilinear models of one shape; weights in the order of `model.parameters()`.

    M = B * T bytes a learner, k bytes of context, vectors of d numbers. The probability of a byte is that of its
    high half times that of its low half, so its loss is the sum of two.
    """

    pass_size = 256

    def __init__(self, config: Any) -> None:
        self._k, self._d = int(config.context), int(config.width)

    @staticmethod
    def computes(model: torch.nn.Module) -> bool:
        """Whether this is the function that `model` computes, on the weights it trains."""
        config: Any = getattr(model, "config", None)
        # Rows of tables are addressed as if the whole vector consisted of them.
        return getattr(config, "model_type", None) == "olrl-log-bilinear" and config.width == _NIBBLES

    @torch.no_grad()
    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (n, B)."""
        return self._forward(weights, tokens)[0]

    @torch.no_grad()
    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """Forward, then backward through the same formulas."""
        losses, at, high, h, gate, d_high, d_low = self._forward(weights, tokens)
        w, g = self._unpack(weights), self._unpack(to)
        each = per_token(scale, tokens)
        d_high.mul_(each)
        d_low.mul_(each)
        g["high"].baddbmm_(d_high.mT, h)
        g["low"].baddbmm_(d_low.mT, h * gate)
        g["high_bias"] += d_high.sum(dim=1)
        add_rows_at(to, self._start("low_bias"), high, d_low)
        d_gated = torch.bmm(d_low, w["low"])
        add_rows_at(to, self._start("gate"), high, d_gated * h)
        d_h = torch.baddbmm(d_gated.mul_(gate), d_high, w["high"])
        for place in range(self._k):  # one place at a time: no copy of d_h for each
            add_rows_at(to, 0, at[:, :, place], d_h)
        return losses

    def _forward(self, weights: Tensor, tokens: Tokens) -> tuple[Tensor, ...]:
        w = self._unpack(weights)
        at = self._contexts(tokens[:, :, :-1])
        target = tokens[:, :, 1:]
        high, low = target >> 4, target & 15
        high_row = high.flatten(1)
        h = sums_at(weights, 0, self._d, at)
        gate = rows_at(weights, self._start("gate"), self._d, high_row)
        of_high, d_high = cross_entropy(torch.baddbmm(w["high_bias"][:, None], h, w["high"].mT), high)
        bias = rows_at(weights, self._start("low_bias"), _NIBBLES, high_row)
        of_low, d_low = cross_entropy(torch.baddbmm(bias, h * gate, w["low"].mT), low)
        return of_high + of_low, at, high_row, h, gate, d_high, d_low

    def _contexts(self, context: Tensor) -> Tensor:
        """Rows of the table of context vectors, shape (n, M, k)."""
        seen = functional.pad(context, (self._k - 1, 0)).unfold(-1, self._k, 1)
        return seen.flatten(1, 2) + _V * torch.arange(self._k, device=context.device)

    def _start(self, name: str) -> int:
        """Place in the vector at which a weight begins."""
        places = ("high", "gate", "low", "low_bias", "high_bias")
        return self._k * _V * self._d + places.index(name) * _NIBBLES * self._d

    def _unpack(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of (n, P) under their names; the tables that are only looked up are left out."""
        views = {}
        for name in ("high", "low"):
            start = self._start(name)
            views[name] = flat[:, start : start + _NIBBLES * self._d].view(-1, _NIBBLES, self._d)
        views["high_bias"] = flat[:, self._start("high_bias") :]
        return views
