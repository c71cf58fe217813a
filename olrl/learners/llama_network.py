"""A small Llama and its gradient written out, for n learners at once.

The same function as `transformers.LlamaForCausalLM` (Touvron et al., 2023) to rounding, without what makes a
library slow on small models: each matrix product is one batched call over all learners, projections that share
their input are one product (their weights lie side by side in the parameter vector), nothing is recorded, and
gradients are added where the optimizer reads them. Tests hold it against the library.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from olrl.learners.network import Network, Scratch, Tokens, add_rows_at, cross_entropy, per_token, rows_at

_LONGEST = 1024  # predicted tokens: attention is computed whole, T x T for each head


@dataclass(frozen=True)
class _Layer:
    """A layer's weights, or their gradients, of n learners; output features before input features."""

    qkv: Tensor  # (n, 3 d, d)
    o: Tensor  # (n, d, d)
    gate: Tensor  # (n, m, d)
    up: Tensor  # (n, m, d)
    down: Tensor  # (n, d, m)
    norm: Tensor  # (n, d), before attention
    mlp_norm: Tensor  # (n, d)


@dataclass(frozen=True)
class _Weights:
    """All weights, or their gradients."""

    layers: tuple[_Layer, ...]
    norm: Tensor  # (n, d)
    head: Tensor  # (n, V, d): the embedding where the two are tied


@dataclass(frozen=True)
class _Seen:
    """What the backward pass of a layer needs of the forward pass."""

    normed: Tensor  # (n, M, d), x / rms(x)
    inverse: Tensor  # (n, M, 1), 1 / rms(x)
    heads: Tensor  # (3, n, B, h, T, k): queries and keys, turned, and values
    attention: Tensor  # (n B h, T, T)
    mixed: Tensor  # (n, M, d), values mixed by attention
    mlp_normed: Tensor
    mlp_inverse: Tensor
    gate: Tensor  # (n, M, m)
    silu: Tensor
    up: Tensor
    hidden: Tensor  # silu * up


class LlamaNetwork(Network):
    """Losses and gradients of Llamas of one configuration; weights in the order of `model.parameters()`.

    M = B * T tokens a learner, d its width, h heads of k numbers, m the width of its MLP, V tokens.
    """

    def __init__(self, config: Any) -> None:
        self._d, self._m = int(config.hidden_size), int(config.intermediate_size)
        self._h, self._v = int(config.num_attention_heads), int(config.vocab_size)
        self._k, self._n_layers = self._d // self._h, int(config.num_hidden_layers)
        self._tied, self._eps = bool(config.tie_word_embeddings), float(config.rms_norm_eps)
        self._theta = float(config.rope_parameters["rope_theta"])
        self._scratch = Scratch()
        self._pairs = _pairs(self._h, self._k)
        self._tables: dict[tuple[int, torch.device], _Table] = {}

    @staticmethod
    def computes(model: torch.nn.Module) -> bool:
        """Whether this is the function that `model` computes, on the weights it trains."""
        from transformers import LlamaForCausalLM

        if type(model) is not LlamaForCausalLM:
            return False
        c: Any = model.config
        plain = (
            c.hidden_act == "silu"
            and not (c.attention_bias or c.mlp_bias)
            and c.num_key_value_heads == c.num_attention_heads
            and (getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads)
            * c.num_attention_heads
            == c.hidden_size
            and c.rope_parameters["rope_type"] == "default"
            and c.max_position_embeddings <= _LONGEST
        )
        trainable = all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
        return plain and trainable

    @torch.no_grad()
    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (n, B)."""
        w = self._unpack(weights)
        x = rows_at(weights, 0, self._d, tokens[:, :, :-1].flatten(1))
        for layer in w.layers:
            x, _ = self._forward(layer, x, tokens.shape[1])
        normed, _ = _rms_norm(x, self._eps)
        return cross_entropy(self._logits(normed * w.norm[:, None], w.head), tokens[:, :, 1:])[0]

    @torch.no_grad()
    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """Forward, then backward through the same formulas."""
        w, g = self._unpack(weights), self._unpack(to)
        x = rows_at(weights, 0, self._d, tokens[:, :, :-1].flatten(1))
        seen: list[_Seen] = []
        for layer in w.layers:
            x, kept = self._forward(layer, x, tokens.shape[1])
            seen.append(kept)
        normed, inverse = _rms_norm(x, self._eps)
        top = normed * w.norm[:, None]
        losses, d_logits = cross_entropy(self._logits(top, w.head), tokens[:, :, 1:])
        each = per_token(scale, tokens)  # comes with each product: there it meets fewer numbers
        g.head.baddbmm_(d_logits.mT, top * each)
        d_top = torch.bmm(d_logits, w.head).mul_(each)
        dx = _rms_norm_backward(d_top, normed, inverse, w.norm, g.norm)
        for layer, gradient, kept in zip(reversed(w.layers), reversed(g.layers), reversed(seen), strict=True):
            dx = self._backward(layer, gradient, kept, dx, tokens.shape[1])
        add_rows_at(to, 0, tokens[:, :, :-1].flatten(1), dx)
        return losses

    def _unpack(self, flat: Tensor) -> _Weights:
        """Views of (n, P) under their names."""
        n, d, m, start = len(flat), self._d, self._m, 0

        def take(*shape: int) -> Tensor:
            nonlocal start
            first, start = start, start + math.prod(shape)
            return flat[:, first:start].view(n, *shape)

        embedding = take(self._v, d)
        layers = tuple(
            _Layer(
                qkv=take(3 * d, d),
                o=take(d, d),
                gate=take(m, d),
                up=take(m, d),
                down=take(d, m),
                norm=take(d),
                mlp_norm=take(d),
            )
            for _ in range(self._n_layers)
        )
        norm = take(d)
        head = embedding if self._tied else take(self._v, d)
        if start != flat.shape[1]:
            raise ValueError(f"this Llama has {start} weights, not {flat.shape[1]}")
        return _Weights(layers=layers, norm=norm, head=head)

    def _logits(self, top: Tensor, head: Tensor) -> Tensor:
        out = self._scratch.take("logits", *top.shape[:2], self._v, like=top)
        return torch.bmm(top, head.mT, out=out)

    def _forward(self, w: _Layer, x: Tensor, b: int) -> tuple[Tensor, _Seen]:
        n = len(x)
        normed, inverse = _rms_norm(x, self._eps)
        qkv = torch.bmm(normed * w.norm[:, None], w.qkv[:, self._pairs].mT)
        heads = self._turned(qkv.view(n, b, -1, 3, self._h, self._k))
        q, k, v = heads.flatten(1, 3)
        scores = torch.baddbmm(self._table(q.shape[1], q.device).ahead, q, k.mT, alpha=self._k**-0.5)
        attention = torch.softmax(scores, dim=-1)
        mixed = torch.bmm(attention, v).view(n, b, self._h, -1, self._k).transpose(2, 3).reshape(x.shape)
        x = torch.baddbmm(x, mixed, w.o.mT)
        mlp_normed, mlp_inverse = _rms_norm(x, self._eps)
        scaled = mlp_normed * w.mlp_norm[:, None]
        gate, up = torch.bmm(scaled, w.gate.mT), torch.bmm(scaled, w.up.mT)
        silu = functional.silu(gate)
        hidden = silu * up
        x = torch.baddbmm(x, hidden, w.down.mT)
        return x, _Seen(
            normed, inverse, heads, attention, mixed, mlp_normed, mlp_inverse, gate, silu, up, hidden
        )

    def _backward(self, w: _Layer, g: _Layer, seen: _Seen, dx: Tensor, b: int) -> Tensor:
        """Add a layer's gradients to `g`; from the gradient of its output to that of its input."""
        dx = dx + self._mlp_backward(w, g, seen, dx)
        g.o.baddbmm_(dx.mT, seen.mixed)
        d_mixed = torch.bmm(dx, w.o).view(len(dx), b, -1, self._h, self._k).transpose(2, 3)
        d_mixed = d_mixed.reshape(-1, d_mixed.shape[3], self._k)
        q, k, v = seen.heads.flatten(1, 3)
        d_heads = torch.empty_like(seen.heads)
        d_q, d_k, d_v = d_heads.flatten(1, 3)
        torch.bmm(seen.attention.mT, d_mixed, out=d_v)
        d_scores = torch.bmm(d_mixed, v.mT)
        d_scores = torch._softmax_backward_data(d_scores, seen.attention, -1, d_scores.dtype)
        scale = self._k**-0.5
        torch.bmm(d_scores, k, out=d_q).mul_(scale)
        torch.bmm(d_scores.mT, q, out=d_k).mul_(scale)
        d_qkv = self._turned_back(d_heads).view(len(dx), -1, 3 * self._d)
        g.qkv.index_add_(1, self._pairs, torch.bmm(d_qkv.mT, seen.normed * w.norm[:, None]))
        d_scaled = torch.bmm(d_qkv, w.qkv[:, self._pairs])
        return dx.add_(_rms_norm_backward(d_scaled, seen.normed, seen.inverse, w.norm, g.norm))

    def _mlp_backward(self, w: _Layer, g: _Layer, seen: _Seen, dx: Tensor) -> Tensor:
        g.down.baddbmm_(dx.mT, seen.hidden)
        d_hidden = torch.bmm(dx, w.down)
        d_up = d_hidden * seen.silu
        d_gate = torch.ops.aten.silu_backward(d_hidden.mul_(seen.up), seen.gate)
        scaled = seen.mlp_normed * w.mlp_norm[:, None]
        g.gate.baddbmm_(d_gate.mT, scaled)
        g.up.baddbmm_(d_up.mT, scaled)
        d_scaled = torch.baddbmm(torch.bmm(d_gate, w.gate), d_up, w.up)
        return _rms_norm_backward(d_scaled, seen.mlp_normed, seen.mlp_inverse, w.mlp_norm, g.mlp_norm)

    def _turned(self, qkv: Tensor) -> Tensor:
        """Queries and keys turned by their positions (Su et al., 2021): to (3, n, B, h, T, k)."""
        n, b, t, _, h, k = qkv.shape
        heads = torch.empty(3, n, b, h, t, k, dtype=qkv.dtype, device=qkv.device)
        given = qkv.permute(3, 0, 1, 4, 2, 5)
        turn = self._table(t, qkv.device).turn
        torch.mul(_complex(given[:2]), turn, out=_complex(heads[:2]))
        heads[2] = given[2]
        return heads

    def _turned_back(self, heads: Tensor) -> Tensor:
        """The same for gradients, the other way: (3, n, B, h, T, k) to (n, B, T, 3, h, k)."""
        _, n, b, h, t, k = heads.shape
        qkv = torch.empty(n, b, t, 3, h, k, dtype=heads.dtype, device=heads.device)
        back = qkv.permute(3, 0, 1, 4, 2, 5)
        turn = self._table(t, heads.device).turn_back
        torch.mul(_complex(heads[:2]), turn, out=_complex(back[:2]))
        back[2] = heads[2]
        return qkv

    def _table(self, t: int, device: torch.device) -> "_Table":
        if (t, device) not in self._tables:
            powers = torch.arange(0, self._k, 2, dtype=torch.float32) / self._k
            angles = torch.arange(t)[:, None].float() * (1.0 / self._theta**powers)
            turn = torch.polar(torch.ones_like(angles), angles)
            ahead = torch.full((t, t), -torch.inf).triu(1)
            self._tables[t, device] = _Table(
                turn=turn.to(device), turn_back=turn.conj().resolve_conj().to(device), ahead=ahead.to(device)
            )
        return self._tables[t, device]


@dataclass(frozen=True)
class _Table:
    """What depends on positions alone."""

    turn: Tensor  # (T, k/2), complex, of length 1
    turn_back: Tensor
    ahead: Tensor  # (T, T), added to scores: minus infinity for what lies ahead


def _pairs(h: int, k: int) -> Tensor:
    """Rows of the joint projection, such that numbers that turn together lie side by side.

    The library turns number i of a head with number i + k/2. Queries and keys may be permuted alike, since
    only their products count; then a pair is one complex number.
    """
    head = torch.arange(k).view(2, -1).T.reshape(-1)
    turned = (torch.arange(2 * h)[:, None] * k + head).reshape(-1)
    return torch.cat([turned, torch.arange(2 * h * k, 3 * h * k)])


def _complex(pairs: Tensor) -> Tensor:
    return torch.view_as_complex(pairs.view(*pairs.shape[:-1], -1, 2))


def _rms_norm(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Get x / rms(x), and 1 / rms(x) of shape (n, M, 1) (Zhang and Sennrich, 2019)."""
    inverse = torch.rsqrt_(torch.linalg.vecdot(x, x).unsqueeze(-1).div_(x.shape[-1]).add_(eps))
    return x * inverse, inverse


def _rms_norm_backward(dy: Tensor, normed: Tensor, inverse: Tensor, weight: Tensor, to: Tensor) -> Tensor:
    """Gradient of the input of `weight * normed`, from that of the output; adds that of `weight` to `to`."""
    to += (dy * normed).sum(dim=1)
    dy = dy.mul_(weight[:, None])
    along = torch.linalg.vecdot(dy, normed).unsqueeze(-1).div_(dy.shape[-1])
    return dy.addcmul_(normed, along, value=-1.0).mul_(inverse)
