"""A model's weights spread over processes, and where each process's part lies in the one vector of all."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from olrl.learners.ranks import Ranks


class ShardPlaces:
    """Where the parts of weights lie that are cut by rows over `size` processes, as FSDP2 cuts them.

    Each weight is cut into blocks of ceil(rows / size) rows, so that the last processes may have less, or nothing.
    A process holds its blocks of all weights behind one another.

    >>> places = ShardPlaces([torch.Size([3, 2]), torch.Size([1])], size=2)
    >>> parts = [places.part(torch.arange(7), rank) for rank in range(2)]
    >>> [part.tolist() for part in parts]
    [[0, 1, 2, 3, 6], [4, 5]]
    >>> places.whole(parts).tolist()
    [0, 1, 2, 3, 4, 5, 6]
    """

    def __init__(self, shapes: Iterable[torch.Size], *, size: int) -> None:
        self._blocks: list[list[slice]] = [[] for _ in range(size)]  # by rank, a slice a weight
        start = 0
        for shape in shapes:
            rows, width = shape[0], shape[1:].numel()
            block = -(-rows // size)
            borders = [start + min(rank * block, rows) * width for rank in range(size + 1)]
            for blocks, (first, last) in zip(self._blocks, pairwise(borders), strict=True):
                blocks.append(slice(first, last))
            start = borders[-1]
        self.total = start

    def size(self, rank: int) -> int:
        """How many numbers a process holds."""
        return sum(block.stop - block.start for block in self._blocks[rank])

    def part(self, whole: torch.Tensor, rank: int) -> torch.Tensor:
        """A process's numbers of those of all, shape (total,)."""
        return torch.cat([whole[block] for block in self._blocks[rank]])

    def whole(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The numbers of all, shape (total,), from each process's."""
        whole = parts[0].new_empty(self.total)
        for blocks, part in zip(self._blocks, parts, strict=True):
            start = 0
            for block in blocks:
                end = start + block.stop - block.start
                whole[block] = part[start:end]
                start = end
        return whole


def shard(model: torch.nn.Module, ranks: Ranks) -> None:
    """Spread a model's weights over processes, in place: each holds a part, and gathers a layer when it is needed.

    Layers are what the model says must not be split (`_no_split_modules`, its blocks); the rest is gathered as one.
    Nothing stays gathered behind a forward pass: what is kept would be stale when weights are put back.
    """
    mesh = init_device_mesh(torch.device(ranks.device).type, (ranks.size,))
    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names and module is not model]
    for module in [*reversed(layers), model]:  # what lies inside comes first
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
