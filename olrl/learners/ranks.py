"""Several processes under one decision: who takes what, and what they tell each other."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from olrl.control.decision import Decision


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One process among `size` that train one model; `Ranks()` is one process alone.

    Of anything shared, rank r takes the items r, r + size, r + 2 size, …: together all of them, each once.

    >>> [Ranks(rank=rank, size=2).share(np.arange(5)).tolist() for rank in (0, 1)]
    [[0, 2, 4], [1, 3]]
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"  # where collectives want their numbers: cpu with gloo, a GPU with nccl

    @classmethod
    def present(cls) -> "Ranks":
        """What torch.distributed says; one process where it was not initialised."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        device = f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
        return cls(rank=dist.get_rank(), size=dist.get_world_size(), device=device)

    def share(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rank's part of numbers (n,); may be empty."""
        return numbers[self.rank :: self.size]

    def merged(self, mine: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """What all ranks found for their shares of `count` items, (k, …) each, as (count, …), in order."""
        if self.size == 1:
            return mine
        whole = np.zeros((count, *mine.shape[1:]))
        whole[self.rank :: self.size] = mine
        return self.total(whole)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over ranks, element by element."""
        if self.size == 1:
            return values
        tensor = torch.from_numpy(values.copy()).to(self.device)
        dist.all_reduce(tensor)
        summed: NDArray[np.float64] = tensor.cpu().numpy()
        return summed

    def gathered(self, mine: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
        """On rank 0 the vectors of all processes, which have these sizes, on the CPU; nothing elsewhere."""
        if self.rank:
            dist.send(mine.detach().contiguous().to(self.device), dst=0)
            return []
        found = [mine.detach().cpu()]
        for rank, size in enumerate(sizes[1:], start=1):
            theirs = torch.empty(size, dtype=mine.dtype, device=self.device)
            dist.recv(theirs, src=rank)
            found.append(theirs.cpu())
        return found

    def scattered(self, parts: Sequence[torch.Tensor], size: int) -> torch.Tensor:
        """Of the float32 vectors that rank 0 gives, one for each process, one's own, which has this size."""
        if self.rank:
            mine = torch.empty(size, device=self.device)
            dist.recv(mine, src=0)
            return mine
        for rank, part in enumerate(parts[1:], start=1):
            dist.send(part.to(self.device), dst=rank)
        return parts[0]

    def agreed(self, decision: Decision) -> Decision:
        """Rank 0's decision: whatever rounding does to the others, all act on one."""
        if self.size == 1:
            return decision
        knobs = [float(knob) for knob in astuple(decision)]
        tensor = torch.tensor(knobs, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, src=0)
        lr, batch_size, window, update, weight_decay, pull = tensor.tolist()
        return Decision(
            lr=lr,
            batch_size=int(batch_size),
            window=int(window),
            update=bool(update),
            weight_decay=weight_decay,
            pull=pull,
        )
