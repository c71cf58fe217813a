"""A model's trainable weights as one vector."""

from collections.abc import Iterable

import torch


class FlatParameters:
    """Weights and gradients of a model as two contiguous vectors that the model's own tensors are views of.

    The optimizer then takes one step over one tensor, and a norm or a dot product of gradients is one call.
    Rebinds the data and the gradient of every parameter in place. All trainable parameters must share one dtype
    and device (ValueError otherwise).

    >>> layer = torch.nn.Linear(2, 1)
    >>> flat = FlatParameters(layer.parameters())
    >>> with torch.no_grad():
    ...     _ = flat.values.fill_(0.5)
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[0.5, 0.5]], [0.5])
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        trainable = [p for p in parameters if p.requires_grad]
        kinds = {(p.dtype, p.device) for p in trainable}
        if len(kinds) != 1:
            found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds)) or "none"
            raise ValueError(f"trainable weights must share one dtype and device, found: {found}")
        self.values = torch.nn.Parameter(torch.cat([p.detach().reshape(-1) for p in trainable]))
        self.grads = torch.zeros_like(self.values)
        self.values.grad = self.grads
        start = 0
        for p in trainable:
            end = start + p.numel()
            p.data = self.values.data[start:end].view_as(p)
            p.grad = self.grads[start:end].view_as(p)
            start = end
