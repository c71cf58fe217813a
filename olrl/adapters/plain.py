"""A controller in a training loop written by hand in PyTorch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olrl.adapters.losses import Scorer, causal_lm_losses
from olrl.adapters.monitor import Monitor
from olrl.adapters.sources import source_of
from olrl.adapters.steering import Steering, SteeringConfig, Step
from olrl.control.controller import Controller
from olrl.control.decision import Decision
from olrl.learners.ranks import Ranks


class SteeredLoop:
    """Batches for a loop that takes one optimizer step for each; learning rate, size and origin are decided.

    ```python
    loop = SteeredLoop(model, optimizer, controller=controller)
    for batch in loop.batches(examples):
        optimizer.zero_grad()
        loop.loss(my_loss(model, batch)).backward()
        optimizer.step()
    ```
    `examples` are a data set (each epoch in its own order) or any iterable; an example is a row of token ids,
    or whatever `collate` makes batches of and `losses` scores (`causal_lm_losses`). `loss` notes the loss and
    returns it times the rank's weight, 1 with one process. A step that would not be finite does not happen.
    Scheduler and learning-rate code of your own would fight the controller: leave it out. When gradients are
    clipped, call `loop.monitor.before_step()` before. Under `DistributedDataParallel` wrap the model yourself,
    give the bare one here, and every rank the same examples.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        controller: Controller,
        config: SteeringConfig | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        losses: Scorer = causal_lm_losses,
        pass_size: int = 16,
        ranks: Ranks | None = None,
    ) -> None:
        self.config = config or SteeringConfig()
        self.monitor = Monitor(
            model,
            optimizer,
            base=controller.base,
            losses=losses,
            cost=self.config.cost,
            price=self.config.price,
            ranks=ranks or Ranks.present(),
        )
        self._controller, self._pass_size = controller, pass_size
        self._collate = collate or Stacked(next(model.parameters()).device)
        self._steering: Steering | None = None
        self._step: Step | None = None

    @property
    def steering(self) -> Steering:
        """The rounds of the batches being given out; RuntimeError before `batches` was called."""
        if self._steering is None:
            raise RuntimeError("there are no rounds yet: call batches(examples) first")
        return self._steering

    @property
    def decision(self) -> Decision:
        """What is in force."""
        return self.steering.decision

    def batches(self, examples: Any, *, epochs: float = 1) -> Iterator[Any]:
        """The rank's part of one optimizer step after another, until the examples end.

        Called again, control goes on: the decision in force, the controller's history and the monitor's stay; the
        memory begins anew, with these examples.
        """
        self._steering = Steering(
            monitor=self.monitor,
            controller=self._controller,
            source=source_of(examples, epochs=epochs),
            collate=self._collate,
            config=self.config,
            pass_size=self._pass_size,
        )
        return self._deal(self._steering)

    def _deal(self, steering: Steering) -> Iterator[Any]:
        while (step := steering.next_step()) is not None:
            self._step = step
            yield self._collate(step.mine)

    def loss(self, loss: Tensor) -> Tensor:
        """Note the mean loss of the batch at hand, nats per token, and return what to run backward."""
        if self._step is None:
            raise RuntimeError("there is no batch at hand: loss() belongs into a loop over batches()")
        weight = self._step.weight
        if weight:
            self.monitor.loss(loss, examples=len(self._step.mine))
        return loss if weight == 1 else loss * weight


class Stacked:
    """Rows of token ids, of equal length, as one tensor (n, L + 1) on a device."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device

    def __call__(self, examples: list[Any]) -> Tensor:
        """The batch; ValueError for rows of different lengths."""
        lengths = sorted({len(row) for row in examples})
        if len(lengths) > 1:
            raise ValueError(
                f"rows of {lengths[0]} and {lengths[-1]} tokens do not stack: "
                "cut them to one length, or give collate="
            )
        if isinstance(examples[0], Tensor):
            return torch.stack(examples).to(self._device)
        return torch.from_numpy(np.asarray(examples, dtype=np.int64)).to(self._device)
