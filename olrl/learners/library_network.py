"""Any causal language model of the transformers library, for one learner or many."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from olrl.learners.network import Network, Tokens


class LibraryNetwork(Network):
    """One learner, by the model's own forward pass and backpropagation.

    The model's parameters must be views of the learner's row of weights, and their gradients of its row of
    gradients, as `FlatParameters` arranges it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model

    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (1, B)."""
        with torch.inference_mode():
            return sequence_losses(
                self._model(input_ids=tokens[0, :, :-1], use_cache=False).logits, tokens[0]
            )[None]

    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """By backpropagation into the parameters' own gradients."""
        losses = sequence_losses(self._model(input_ids=tokens[0, :, :-1], use_cache=False).logits, tokens[0])
        (losses * scale[0]).sum().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        return losses.detach()[None]


class VmappedNetwork(Network):
    """Many learners, by `torch.func.vmap` over the model's forward pass; the weights of `model` play no part."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._trainable = [(name, p.shape) for name, p in model.named_parameters() if p.requires_grad]
        self._differentiate = vmap(grad_and_value(self._summed, has_aux=True))

    def losses(self, weights: Tensor, tokens: Tokens) -> Tensor:
        """Loss of each sequence, shape (n, B)."""
        with torch.no_grad(), _plain_attention():
            everything = torch.ones(tokens.shape[:2], device=tokens.device)
            losses: Tensor = vmap(self._summed)(self._named(weights), tokens, everything)[1]
        return losses

    def add_gradients(self, weights: Tensor, tokens: Tokens, *, to: Tensor, scale: Tensor) -> Tensor:
        """Forward and backward for all learners in one call each."""
        with _plain_attention():
            gradients, (_, found) = self._differentiate(self._named(weights), tokens, scale)
        for name, view in self._named(to).items():
            view += gradients[name]
        losses: Tensor = found
        return losses

    def _summed(self, parameters: dict[str, Tensor], tokens: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        length = tokens.shape[1] - 1
        # Given whole, or the library looks into values to make it, which vmap cannot.
        ahead = torch.full((length, length), -torch.inf, device=tokens.device).triu(1)
        inputs = {"input_ids": tokens[:, :-1], "use_cache": False, "attention_mask": ahead[None, None]}
        losses = sequence_losses(functional_call(self._model, parameters, (), inputs).logits, tokens)
        return (losses * scale).sum(), losses

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        named, start = {}, 0
        for name, shape in self._trainable:
            end = start + shape.numel()
            named[name] = flat[:, start:end].view(len(flat), *shape)
            start = end
        return named


def _plain_attention() -> AbstractContextManager[None]:
    """Attention from products and a softmax: the fused kernel has no batching rule and would run one by one."""
    return sdpa_kernel(SDPBackend.MATH)


def sequence_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of sequences (B, L + 1) by logits (B, L, V): nats per predicted token, shape (B,)."""
    flat = functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    return flat.view(len(tokens), -1).mean(dim=1)
