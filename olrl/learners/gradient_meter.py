"""What a round's training did to the weights, from the gradients that a loop computes anyway."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._utils import _flatten_dense_tensors

from olrl.learners.gradient_noise import snr_of_sums

_SMALL = 8192  # numbers a weight, below which one copy of all costs less than a call for each


class GradientMeter:
    """Gradient signals of one round after another, as `Signals` defines them.

    A round's steps are told by `before_step`, once gradients are complete and before they are clipped; `half` may
    be told before, when a part of the first step's examples has been through the backward pass; `end` closes the
    round. Nothing is run for the sake of a signal. The noise is taken from the two parts of the first step where
    `half` was told, else from the first two steps.

    Costs memory of four copies of the trainable weights in float32 (gradient, gradient before, weights at the
    round's start, last move), and about ten passes over them a round, one more a step. Of weights that are spread
    over processes (`DTensor`, as FSDP2 makes them) each holds and reads its shard, and sums are added up.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._weights = [p for p in parameters if p.requires_grad]
        if not self._weights:
            raise ValueError("none of the model's weights is trainable: nothing could be learned")
        devices = {p.device for p in self._weights}
        if len(devices) > 1:
            raise ValueError(
                f"gradient signals need all trainable weights on one device, found {len(devices)}: "
                "give gradients=False to do without"
            )
        self._mesh: Any = next((p.device_mesh for p in self._weights if hasattr(p, "device_mesh")), None)
        size = sum(_local(p).numel() for p in self._weights)
        self._small = size <= _SMALL * len(self._weights)
        self._grad, self._before, self._start, self._move = (
            _Flat(self._weights, small=self._small) for _ in range(4)
        )
        self._moved = False
        self._reset()

    def _reset(self) -> None:
        self._steps = self._first = 0  # steps taken, examples of the first
        self._half: int | None = None
        self.norm: float | None = None
        self.snr: float | None = None
        self.cos: float | None = None

    @torch.no_grad()
    def half(self, examples: int, *, of: int, scale: float = 1.0) -> None:
        """The first step's gradients so far: of `examples` out of `of`, a sum weighted by 1 / `of`."""
        if not self._steps and 0 < examples < of:
            self._before.copy(self._gradients(), scale * of / examples)
            self._half = examples

    @torch.no_grad()
    def before_step(self, examples: int, *, scale: float = 1.0) -> bool:
        """Measure complete gradients, the mean over `examples`, times `scale`; whether they are finite.

        Such as are not leave no trace in any signal.
        """
        measures = not self._steps or (self.snr is None and self._half is None)
        if not measures:
            return math.isfinite(self._sums([self._squared_norm()])[0])
        self._grad.copy(self._gradients(), scale)
        grad = self._grad.values
        parts = [torch.dot(grad, grad)]
        if not self._steps:
            parts.append(torch.dot(grad, self._move.values))
            parts.append(torch.dot(self._move.values, self._move.values))
            if self._half is not None:  # the other half's mean, in place of the whole
                rest = examples - self._half
                other = grad.mul(examples / rest).sub_(self._before.values, alpha=self._half / rest)
                parts += _against(self._before.values, other)
        else:
            parts += _against(self._before.values, grad)
        sums = self._sums(parts)
        if not math.isfinite(sums[0]):
            self._half = None if not self._steps else self._half
            return False
        if not self._steps:
            self._take_first(sums, examples)
        else:
            self.snr = snr_of_sums(sums[1], sums[2], self._first, examples)
        self._steps += 1
        return True

    def _gradients(self) -> list[Tensor | None]:
        if (
            self._mesh is None
        ):  # a detached view of each would cost as much as all the rest, where weights are many
            return [p.grad for p in self._weights]
        return [None if p.grad is None else _local(p.grad) for p in self._weights]

    def _values(self) -> list[Tensor]:
        return list(self._weights) if self._mesh is None else [_local(p) for p in self._weights]

    def _squared_norm(self) -> Tensor:
        """Of all gradients; at every step, so that each microsecond a weight counts where weights are many."""
        present = [grad for grad in self._gradients() if grad is not None]
        if not present:
            return torch.zeros(())
        if self._small:
            whole = _flattened(present).float()
            return torch.dot(whole, whole)
        return torch.stack(torch._foreach_norm(present)).float().square().sum()

    def _take_first(self, sums: list[float], examples: int) -> None:
        self.norm = math.sqrt(sums[0])
        length = self.norm * math.sqrt(sums[2])
        self.cos = -sums[1] / length if self._moved and length > 0 else None
        if self._half is not None:
            self.snr = snr_of_sums(sums[3], sums[4], self._half, examples - self._half)
        if self.snr is None:  # of single or equal examples, from two steps in a row
            self._half = None
            self._grad, self._before = self._before, self._grad
        self._first = examples
        self._start.copy(self._values())

    @torch.no_grad()
    def end(self) -> float | None:
        """Close the round: |Δθ| / |θ| of its whole move, `None` without a step; figures last till the next step."""
        if not self._steps:
            self._half = None
            return None
        self._grad.copy(self._values())
        torch.sub(self._grad.values, self._start.values, out=self._move.values)
        moved, start = self._sums([torch.dot(flat, flat) for flat in (self._move.values, self._start.values)])
        self._moved = math.isfinite(moved)
        return math.sqrt(moved / start) if self._moved and start > 0 else None

    def begin(self) -> None:
        """Forget the last round's figures but for its move."""
        self._reset()

    def drop(self) -> None:
        """Take the gradients away: the one way to skip a step, since zeros still turn moments and weights."""
        for p in self._weights:
            p.grad = None

    def _sums(self, parts: list[Tensor]) -> list[float]:
        """Numbers that each process has a part of, added up: one transfer for all."""
        if len(parts) == 1 and self._mesh is None:
            return [float(parts[0])]
        stacked = torch.stack([part.float() for part in parts])
        if self._mesh is not None:
            for dimension in range(self._mesh.ndim):
                dist.all_reduce(stacked, group=self._mesh.get_group(dimension))
        numbers: list[float] = stacked.tolist()
        return numbers

    def state_dict(self) -> dict[str, Tensor]:
        """The last move, which the next cosine needs: all that is to be known between two rounds."""
        return {"last_move": self._move.values.clone()} if self._moved else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict()` of a meter of the same weights."""
        self._moved = "last_move" in state
        if self._moved:
            if state["last_move"].shape != self._move.values.shape:
                raise ValueError(
                    f"the saved move has {state['last_move'].numel()} numbers, "
                    f"this model trains {self._move.values.numel()}"
                )
            self._move.values.copy_(state["last_move"])
        self._reset()

    def round_state(self) -> dict[str, Any]:
        """Of a round that is not over: its figures, plain, and the vectors that its later figures need.

        With `state_dict`, all that later signals depend on between any two steps. The vectors are on the CPU.
        """
        state: dict[str, Any] = {"steps": self._steps, "first": self._first}
        state |= {"norm": self.norm, "snr": self.snr, "cos": self.cos}
        return state | {name: flat.values.cpu().numpy().copy() for name, flat in self._open().items()}

    def load_round_state(self, state: dict[str, Any]) -> None:
        """Go on within a round, after `load_state_dict`, with `round_state()` of a meter of the same weights."""
        self._steps, self._first = state["steps"], state["first"]
        self.norm, self.snr, self.cos = state["norm"], state["snr"], state["cos"]
        for name, flat in self._open().items():
            if state[name].shape != flat.values.shape:
                raise ValueError(
                    f"the saved round's {name!r} has {state[name].size} numbers, "
                    f"this model trains {flat.values.numel()}"
                )
            flat.values.copy_(torch.from_numpy(state[name]))

    def _open(self) -> "dict[str, _Flat]":
        """The vectors that the round's later figures need: its end, and the noise where it is not known yet."""
        if not self._steps:
            return {}
        return {"start": self._start} | ({"before": self._before} if self.snr is None else {})


class _Flat:
    """One vector in float32 that holds a tensor for each weight, behind one another.

    `small`: weights are many and small, so that a call for each would be what costs.
    """

    def __init__(self, weights: list[torch.nn.Parameter], *, small: bool) -> None:
        self._small = small
        shapes = [_local(p).shape for p in weights]
        self.values = torch.zeros(sum(map(torch.Size.numel, shapes)), device=_local(weights[0]).device)
        self._views = [
            part.view(shape)
            for part, shape in zip(torch.split(self.values, [s.numel() for s in shapes]), shapes, strict=True)
        ]

    def copy(self, tensors: Sequence[Tensor | None], scale: float = 1.0) -> None:
        """Take these, zeros where there is none."""
        given = [(view, t) for view, t in zip(self._views, tensors, strict=True) if t is not None]
        if len(given) < len(tensors):
            self.values.zero_()
        elif self._small:
            self.values.copy_(_flattened([t for _, t in given]))
            given = []
        if given:
            torch._foreach_copy_([view for view, _ in given], [t for _, t in given])  # as torch.optim does
        if scale != 1.0:
            self.values.mul_(scale)


def _flattened(tensors: list[Tensor]) -> Tensor:
    flat: Tensor = _flatten_dense_tensors(tensors)  # type: ignore[no-untyped-call] # torch's is untyped
    return flat


def _local(tensor: Tensor) -> Tensor:
    """The process's own shard of a tensor that is spread, else the tensor."""
    local: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.detach()


def _against(a: Tensor, b: Tensor) -> list[Tensor]:
    """|a - b|² and a·b."""
    difference = a - b
    return [torch.dot(difference, difference), torch.dot(a, b)]
