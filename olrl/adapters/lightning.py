"""A controller in Lightning's Trainer (`pip install 'olrl[lightning]'`)."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from olrl.adapters.losses import Scorer, causal_lm_losses
from olrl.adapters.monitor import Monitor
from olrl.adapters.sources import DatasetSource
from olrl.adapters.steering import Steering, SteeringConfig, Step
from olrl.control.controller import Controller
from olrl.learners.ranks import Ranks


class SteeringCallback(pl.Callback):
    """Lightning's Trainer under a controller: rate, batch size and window are decided anew in every round.

    ```python
    steering = SteeringCallback(model, dataset, controller=controller)
    trainer = pl.Trainer(max_epochs=1, callbacks=[steering], use_distributed_sampler=False)
    trainer.fit(module, steering.train_dataloader())
    ```
    `model` is what scores sequences (the module itself, or a language model inside of it; see `losses`),
    `dataset` has a length and an index. The module's `training_step` returns its loss, the mean in nats per
    token, and its one optimizer is made without a scheduler; `configure_optimizers` may leave the rate out of
    account. In rounds:

    - The examples arrive in the data set's order, `steering.chunk` at a time, are scored before any training on
      them, and a decision is made; then all the optimizer steps of the round are taken under it. An example may
      be trained on several times, or never; an epoch is over when all its examples have arrived and the last
      round is trained (what does not fill a chunk opens the next epoch). How many steps it has is up to the
      controller: the loader's length is an upper bound.
    - Batches are larger or smaller, never accumulated. Nothing is read ahead: the loader has no workers.
    - A step whose loss or gradient is not finite is not taken.

    With several processes use plain data parallelism: each takes its share of every batch, and counts by it where
    a batch does not divide evenly. Refused with the reason: `accumulate_grad_batches`, schedulers, several
    optimizers, manual optimization, `use_distributed_sampler`, sharded strategies.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        dataset: Any,
        *,
        controller: Controller,
        steering: SteeringConfig | None = None,
        collate: Callable[[list[Any]], Any] = default_collate,
        losses: Scorer = causal_lm_losses,
        pass_size: int = 16,
    ) -> None:
        self.config = steering or SteeringConfig()
        self.steering: Steering | None = None
        self._model, self._dataset, self._controller = model, dataset, controller
        self._collate, self._losses, self._pass_size = collate, losses, pass_size
        self._monitor: Monitor | None = None
        self._module: pl.LightningModule | None = None
        self._step: Step | None = None
        self._sampler = _Sampler(self)

    def train_dataloader(self) -> Any:
        """The loader to fit with: asks for one step's examples after the other, in the moment they are needed."""
        return DataLoader(
            _Given(),
            batch_sampler=self._sampler,  # one with a length, or Lightning reads a batch ahead
            collate_fn=self._collate,
        )

    # What Lightning calls -------------------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is read."""
        if stage == "fit":
            _check(trainer, pl_module)
            self._module = pl_module

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the optimizer; the first batch has not been asked for yet."""
        if trainer.lr_scheduler_configs:
            raise ValueError("a scheduler would fight the controller: let configure_optimizers return none")
        if len(trainer.optimizers) != 1:
            raise ValueError(f"one optimizer can be steered, not {len(trainer.optimizers)}")
        epochs = trainer.max_epochs
        unlimited = epochs is None or epochs < 0 or (trainer.max_steps or -1) > 0
        self._monitor = Monitor(
            self._model,
            trainer.optimizers[0],
            base=self._controller.base,
            losses=self._losses,
            cost=self.config.cost,
            price=self.config.price,
            ranks=Ranks.present(),
        )
        self.steering = Steering(
            monitor=self._monitor,
            controller=self._controller,
            source=DatasetSource(self._dataset, epochs=math.inf if unlimited else epochs or 1),
            collate=self._on_device,
            config=self.config,
            pass_size=self._pass_size,
        )

    def _on_device(self, examples: list[Any]) -> Any:
        assert self._module is not None
        return self._module.transfer_batch_to_device(self._collate(examples), self._module.device, 0)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Note the loss; where ranks have shares of unequal size, let gradients count by them."""
        step, monitor = self._step, self._monitor
        assert step is not None
        assert monitor is not None
        if step.weight:
            monitor.loss(loss, examples=len(step.mine))
        if step.weight != 1:
            loss.register_hook(lambda gradient: gradient * step.weight)  # type: ignore[no-untyped-call] # torch's

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Gradients are complete and not clipped yet."""
        assert self._step is not None
        assert self._monitor is not None
        if not self._monitor.before_step(len(self._step.numbers)):
            self._monitor.drop_gradients()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop watching."""
        if self._monitor is not None:
            self._monitor.close()

    # What the loader asks for ---------------------------------------------------------------------------------

    def most_steps(self) -> int:
        """Upper bound of the optimizer steps of an epoch."""
        return math.ceil(len(self._dataset) / self.config.chunk) * self.config.cost.updates(1)

    def epoch_steps(self, epoch: int) -> Iterator[list[Any]]:
        """The examples of one step after another, until those of this epoch have arrived and are trained on."""
        steering = self.steering
        assert steering is not None, "Lightning starts training before it asks for batches"
        limit = (epoch + 1) * len(self._dataset)
        while steering.steps_left or steering.examples_seen + self.config.chunk <= limit:
            self._step = steering.next_step()
            if self._step is None:
                return
            yield self._step.mine


class _Sampler(Sampler[list[Any]]):
    """Batches of examples themselves in place of their indices; has no `batch_size`, since there is not one."""

    def __init__(self, callback: SteeringCallback) -> None:
        self._callback = callback
        self._epoch = 0

    def __len__(self) -> int:
        return self._callback.most_steps()

    def __iter__(self) -> Iterator[list[Any]]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        yield from self._callback.epoch_steps(epoch)


class _Given(Dataset[Any]):
    """A data set whose indices are the examples already."""

    def __getitem__(self, example: Any) -> Any:
        return example


def _check(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            "accumulate_grad_batches must be 1, not "
            f"{trainer.accumulate_grad_batches}: the controller decides how many sequences a step takes"
        )
    if not module.automatic_optimization:
        raise ValueError("manual optimization is a loop of your own: steer it with olrl.adapters.plain")
    if trainer.world_size > 1:
        from lightning.pytorch.strategies import DDPStrategy

        if not isinstance(trainer.strategy, DDPStrategy):
            raise ValueError(
                f"several processes are steered under strategy ddp, not {type(trainer.strategy).__name__}"
            )
        if trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError("give pl.Trainer use_distributed_sampler=False: the ranks' shares are made here")
