"""A causal language model whose weights are spread over processes (FSDP2), and which learns online as one."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.tensor import DTensor

from olrl.control.decision import Decision
from olrl.learners.causal_lm import torch_optimizer
from olrl.learners.gradient_meter import GradientMeter
from olrl.learners.learner import Examples, Learner, UpdateReport
from olrl.learners.library_network import sequence_losses
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.ranks import Ranks
from olrl.learners.sharding import ShardPlaces, shard

PASS_SIZE = 16  # sequences of a process that go through the model at once


class ShardedLMLearner(Learner):
    """What `CausalLMLearner` is, over several processes that hold a part of the weights and their moments each.

    Every process calls the same methods in the same order with the same examples: of a batch, and of what is to be
    scored, each takes its share (`Ranks.share`), and all are told what one process would be told, to rounding. A
    process without a share goes through the motions with an example that counts for nothing, since all must take
    part whenever weights are gathered.

    A state is that of a `CausalLMLearner` of the same model, and can be gone on with by any number of processes. It
    is gathered by, and put back from, rank 0; the others give an empty one, and of what they are given they read no
    more than the names. The model's weights are spread in place.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        ranks: Ranks,
        optimizer: OptimizerConfig | None = None,
        pass_size: int = PASS_SIZE,
    ) -> None:
        self.model = model.eval()
        self.ranks = ranks
        self.pass_size = pass_size
        self._places = ShardPlaces([p.shape for p in model.parameters() if p.requires_grad], size=ranks.size)
        shard(model, ranks)
        self._weights = [p for p in model.parameters() if p.requires_grad]
        # The optimizer knows no processes: each weight's moments lie where the weight lies.
        self._shards = [torch.nn.Parameter(_local(p)) for p in self._weights]
        self._optimizer = torch_optimizer(self._shards, optimizer or OptimizerConfig())
        self._meter = GradientMeter(self._weights)

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Mean loss of each sequence, shape (n,), nats per predicted token, on every process."""
        mine: list[NDArray[np.float64]] = [np.zeros(0)]
        with torch.no_grad():
            for tokens, counts in self._passes(examples):
                losses = self._losses(tokens).double().cpu().numpy()
                mine.append(losses[: len(tokens) if counts else 0])
        return self.ranks.merged(np.concatenate(mine), len(examples))

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One optimizer step per batch at the decision's rate; a step that is not finite is taken by nobody."""
        if decision.pull:
            raise ValueError(
                "a pull towards the initial weights is not there for weights in shards: leave it out"
            )
        for group in self._optimizer.param_groups:
            group["lr"], group["weight_decay"] = decision.lr, decision.weight_decay
        self._meter.begin()
        losses: list[float] = []
        examples = nonfinite = 0
        for batch in batches:
            examples += len(batch)
            loss = self._backward(batch, tell_half=examples == len(batch))
            if math.isfinite(loss) and self._meter.before_step(len(batch)):
                losses.append(loss)
                self._step()
                continue
            nonfinite += 1
            if not losses:
                self._meter.begin()  # nor shall its half be compared with anything
        ratio = self._meter.end()
        self._meter.drop()
        return UpdateReport(
            updates=len(losses),
            examples=examples,
            train_loss_nats=float(np.mean(losses)) if losses else None,
            grad_norm=self._meter.norm,
            grad_snr=self._meter.snr,
            grad_cos=self._meter.cos,
            update_ratio=ratio,
            nonfinite=nonfinite,
        )

    def _backward(self, batch: Examples, *, tell_half: bool) -> float:
        """Put the gradient of the batch's mean loss into the weights' shards; return that loss."""
        self._meter.drop()
        middle = len(batch) // 2 if tell_half else 0
        total = self._accumulate(batch[:middle], of=len(batch))
        if middle:
            self._meter.half(middle, of=len(batch))
        total += self._accumulate(batch[middle:], of=len(batch))
        return float(self.ranks.total(np.array([total]))[0])

    def _accumulate(self, examples: Examples, *, of: int) -> float:
        """Add to the gradient; this process's share of the batch's mean loss."""
        total = 0.0
        for tokens, counts in self._passes(examples):
            share = self._losses(tokens).sum() * (counts / of)
            # Gradients are averaged over processes where they are gathered, and are to be a sum.
            (share * self.ranks.size).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            total += float(share.detach())
        return total

    def _passes(self, examples: Examples) -> Iterator[tuple[Tensor, float]]:
        """The process's share, some at a time, and whether they count (1.0 or 0.0); as often on every process.

        What does not count is one of the examples, so that it is finite where they are.
        """
        share = examples[self.ranks.rank :: self.ranks.size]
        most = -(-len(examples) // self.ranks.size)
        for k in range(0, most, self.pass_size):
            mine = share[k : k + self.pass_size]
            tokens = mine if len(mine) else examples[:1]
            yield torch.from_numpy(tokens.astype(np.int64)).to(self.ranks.device), float(len(mine) > 0)

    def _losses(self, tokens: Tensor) -> Tensor:
        return sequence_losses(self.model(input_ids=tokens[:, :-1], use_cache=False).logits, tokens)

    def _step(self) -> None:
        for weight, part in zip(self._weights, self._shards, strict=True):
            part.grad = torch.zeros_like(part) if weight.grad is None else _local(weight.grad)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def whole_weights(self) -> dict[str, Tensor]:
        """All weights and buffers of the model by name, on rank 0; empty elsewhere.

        Gathers one after another: beside rank 0's copy a process holds the largest of them.
        """
        whole = {}
        for name, value in self.model.state_dict().items():
            full = value.full_tensor() if isinstance(value, DTensor) else value
            if not self.ranks.rank:
                whole[name] = full.detach().cpu()
        return whole

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights, optimizer moments and the last move, each as one flat array, on rank 0; empty elsewhere."""
        state: dict[str, NDArray[Any]] = {}
        for name, value in self._vectors().items():
            parts = self.ranks.gathered(value, [self._places.size(rank) for rank in range(self.ranks.size)])
            if parts:
                state[name] = self._places.whole(parts).numpy()
        if not self.ranks.rank:
            for name, value in self._moments().items():
                if value.ndim == 0:
                    state[f"optimizer/{name}"] = value.cpu().clone().numpy()
        return state

    def _vectors(self) -> dict[str, Tensor]:
        """The process's part of whatever is as long as the weights, in an order that all share."""
        vectors = {"values": _flat([part.detach() for part in self._shards])}
        for name, value in sorted(self._moments().items()):
            if value.ndim:
                parts = [self._optimizer.state[part][name] for part in self._shards]
                vectors[f"optimizer/{name}"] = _flat(parts)
        return vectors | self._meter.state_dict()

    def _moments(self) -> dict[str, Tensor]:
        """What the optimizer keeps of the first weight: plain SGD keeps an empty momentum."""
        kept = self._optimizer.state[self._shards[0]]
        return {name: torch.as_tensor(value) for name, value in kept.items() if value is not None}

    def check(self, state: dict[str, NDArray[Any]]) -> None:
        """ValueError where a state is none of this model's; asked of rank 0 before all take part in loading it."""
        if state["values"].shape != (self._places.total,):
            raise ValueError(
                f"the state has {state['values'].size} weights, this model has {self._places.total}"
            )
        for name, value in state.items():
            known = name in ("values", "last_move") or name.startswith("optimizer/")
            if not known or value.dtype.kind != "f" or value.shape not in ((), (self._places.total,)):
                raise ValueError(f"the state's {name} is not what a learner of this model writes")

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from rank 0's state; ValueError there, before anything is sent, if it is of another model."""
        if not self.ranks.rank:
            self.check(state)
        parts = {name: self._received(value) for name, value in sorted(state.items())}
        with torch.no_grad():
            for part, value in zip(self._shards, self._pieces(parts.pop("values")), strict=True):
                part.copy_(value)
        last_move = parts.pop("last_move", None)
        self._meter.load_state_dict({} if last_move is None else {"last_move": last_move})
        self._optimizer.state.clear()
        for name, value in parts.items():
            pieces = [value] * len(self._shards) if value.ndim == 0 else self._pieces(value)
            for part, piece in zip(self._shards, pieces, strict=True):
                self._optimizer.state[part][name.removeprefix("optimizer/")] = piece.clone()

    def _received(self, value: NDArray[Any]) -> Tensor:
        """The process's part of an array that rank 0 has; a single number everybody was told."""
        whole = torch.from_numpy(np.array(value, dtype=np.float32))
        if value.ndim == 0:
            return whole.to(self.ranks.device)
        parts = [] if self.ranks.rank else [self._places.part(whole, rank) for rank in range(self.ranks.size)]
        return self.ranks.scattered(parts, self._places.size(self.ranks.rank)).to(self.ranks.device)

    def _pieces(self, vector: Tensor) -> list[Tensor]:
        sizes = [part.numel() for part in self._shards]
        pieces = torch.split(vector, sizes)
        return [piece.view(part.shape) for piece, part in zip(pieces, self._shards, strict=True)]


def _local(tensor: Tensor) -> Tensor:
    assert isinstance(tensor, DTensor)
    return tensor.to_local().detach()


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
