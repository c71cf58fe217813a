"""A controller in Hugging Face's Trainer, for transformers 5.x.

Trainer reads batches ahead of what its callbacks are told, keeps its own account of the learning rate and of
losses, and clips gradients before it shows them. So this asks for batches in the moment they are needed
(`get_batch_samples`), puts the rate in force where Trainer reads it, and measures between backward pass and
clipping.
`get_batch_samples` and `_get_num_items_in_batch` are not public: hence transformers < 6.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from transformers import Trainer, TrainerCallback

from olrl.adapters.losses import (
    IGNORED,
    Scorer,
    SequenceLosses,
    causal_lm_losses,
    losses_of_targets,
    targets_of,
)
from olrl.adapters.monitor import Monitor
from olrl.adapters.sources import DatasetSource, Source, StreamSource
from olrl.adapters.steering import Steering, SteeringConfig, Step
from olrl.control.controller import Controller
from olrl.learners.ranks import Ranks


class ReportedLR(LRScheduler):
    """A scheduler that changes nothing and reports the rates that the optimizer uses.

    What steers them is elsewhere; Trainer logs what its scheduler reports.
    """

    def get_lr(self) -> list[float | Tensor]:
        """The rates in force, one a group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float | Tensor]:
        """The rates in force, one a group."""
        return self.get_lr()


class SteeredTrainerMixin:
    """What makes a Trainer steered; `SteeredTrainer` and `olrl.adapters.trl.SteeredSFTTrainer` are made of it.

    Arguments beside Trainer's own, by keyword: `controller`, `steering` (what a round is) and `losses` (how
    sequences are scored). In rounds:

    - The examples of `train_dataset` arrive in its own order, `steering.chunk` at a time, are scored before any
      training on them, and a decision is made. Then all the optimizer steps of the round are taken under it, on
      examples drawn from the window, so that an example may be trained on several times, or never.
    - An epoch is over when all its examples have arrived (and, if its last rounds do not train, after the next one
      that does); how many optimizer steps it has is up to the controller.
      The end of the last one that does not fill a chunk is not used. `num_train_epochs` counts these epochs;
      `max_steps`, if positive, ends training after so many optimizer steps, be it within a round, and the data
      starts over as often as it takes. `state.max_steps` is else an upper bound, and training ends before it.
    - `batch_size` counts sequences of an optimizer step over all processes. `per_device_train_batch_size` is what
      goes through the model at once: larger steps accumulate as often as it takes, and
      `gradient_accumulation_steps` is not used.
    - `learning_rate` and `weight_decay` of the arguments are what the optimizer starts with; groups keep their
      proportions. `lr_scheduler_type`, warm-up, shuffling and workers of the data loader have no effect.
    - A step whose loss or gradient is not finite is not taken (`global_step` counts it).

    Refused, with the reason: DeepSpeed, FSDP, `torch.nn.DataParallel`, resuming from a checkpoint (it lacks the
    memory and the controller's history).
    """

    def __init__(
        self,
        *args: Any,
        controller: Controller,
        steering: SteeringConfig | None = None,
        losses: Scorer = causal_lm_losses,
        **kwargs: Any,
    ) -> None:
        self._controller, self._steering_config = controller, steering or SteeringConfig()
        self._losses = losses
        self.steering: Steering | None = None
        self._monitor: Monitor | None = None
        self._part_weight: float | None = None  # of the part in training_step; None outside of it
        self._output: Any = None
        self._step_now: Step | None = None
        super().__init__(*args, **kwargs)
        me: Any = self
        _check(me)
        me.args = copy.copy(me.args)  # the caller's own stay as they are
        me.args.gradient_accumulation_steps = 1
        me.add_callback(_Epochs(self))
        me.model.register_forward_hook(self._keep_output)

    # Rounds ---------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; see the class for what an epoch is."""
        if resume_from_checkpoint:
            raise ValueError(
                "a steered Trainer cannot resume from a checkpoint, which lacks the memory and the controller's "
                "history: load the checkpoint's model and start a run from it"
            )
        return super().train(*args, **kwargs)  # type: ignore[misc] # Trainer's, behind this in the order of classes

    def get_train_dataloader(self) -> Any:
        """The upper bound of steps that Trainer counts by; it is asked for its length, never for a batch."""
        me: Any = self
        dataset, me._collate = _columns(me)
        source = _source(dataset, me.args)
        if self._monitor is not None:
            self._monitor.close()
        self._monitor = Monitor(
            me.model,
            base=self._controller.base,
            losses=self._losses,
            cost=self._steering_config.cost,
            price=self._steering_config.price,
            ranks=Ranks.present(),
        )
        self.steering = Steering(
            monitor=self._monitor,
            controller=self._controller,
            source=source,
            collate=lambda examples: me._prepare_inputs(me._collate(examples)),
            config=self._steering_config,
            pass_size=me.args.per_device_train_batch_size,
        )
        most = self._steering_config.cost.updates(1)
        if not isinstance(source, DatasetSource):
            return _Bound(dataset, None)
        return _Bound(dataset, max(1, math.ceil(source.size / self._steering_config.chunk) * most))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """One that reports the rate in force."""
        me: Any = self
        if not isinstance(me.lr_scheduler, ReportedLR):
            inner = optimizer or me.optimizer
            me.lr_scheduler = ReportedLR(getattr(inner, "optimizer", inner))  # without accelerate's wrapping
            me._created_lr_scheduler = True
        if self._monitor is not None:
            self._monitor.watch(me.lr_scheduler.optimizer)
        return me.lr_scheduler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The next optimizer step, as one batch that holds the parts it is accumulated from."""
        me: Any = self
        assert self.steering is not None
        step = self._step_now = self.steering.next_step()
        if step is None:
            me.control.should_training_stop = True
            return [], None
        middle = self._middle_of(step)
        examples = [
            group[k : k + size]
            for size in [me.args.per_device_train_batch_size]
            for group in (step.mine[:middle], step.mine[middle:])
            for k in range(0, len(group), size)
        ]
        idle = self._most_passes(step) - len(examples)
        parts = [me._collate(part) for part in examples + [step.mine[:1]] * idle]
        sizes = [len(part) for part in examples] + [0] * idle
        counted = [
            part if step.weight and size else _unlabelled(part)
            for part, size in zip(parts, sizes, strict=True)
        ]
        items = me._get_num_items_in_batch(counted, device)
        return [Parts(parts, sizes)], items

    def _most_passes(self, step: Step) -> int:
        """Passes that the largest share of a step takes.

        Every process makes as many, be it with weight 0: TRL's trainer gathers its metrics in each, and waits.
        """
        me: Any = self
        share = -(-len(step.numbers) // self.processes)
        return -(-share // int(me.args.per_device_train_batch_size))

    def _middle_of(self, step: Step) -> int:
        """Where a round's first batch is split, so that the noise of its gradient shows; 0: nowhere.

        With several processes the gradient of a part is of this one alone.
        """
        return len(step.mine) // 2 if step.first and self.processes == 1 else 0

    # One step -------------------------------------------------------------------------------------------------

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of all parts, then the measurement of the whole gradient; returns their loss."""
        me: Any = self
        step, monitor = self._step_now, self._monitor
        assert step is not None
        assert monitor is not None
        me.current_gradient_accumulation_steps = len(inputs.parts)
        scaler = me.accelerator.scaler
        scale = 1.0 if scaler is None else 1.0 / float(scaler.get_scale())
        total, done, batch_size = torch.zeros((), device=me.args.device), 0, len(step.numbers)
        for k, (part, size) in enumerate(zip(inputs.parts, inputs.sizes, strict=True), start=1):
            done += size
            last = k == len(inputs.parts)
            self._part_weight = self._weight_of(size, of=step, num_items=num_items_in_batch)
            with nullcontext() if last else me.accelerator.no_sync(model):
                total += super().training_step(model, part, num_items_in_batch)  # type: ignore[misc] # Trainer's
            self._part_weight = None
            if done == self._middle_of(step):
                monitor.half(done, of=batch_size, scale=scale)
        if not monitor.before_step(batch_size, scale=scale) and scaler is None:  # a scaler skips by itself
            monitor.drop_gradients()
        return total

    def _weight_of(self, size: int, *, of: Step, num_items: Any) -> float:
        """What a part's loss is multiplied by, so that it all adds up to the mean over the batch.

        Losses divided by the number of items of the whole batch do so already.
        """
        if not (of.weight and size):
            return 0.0
        me: Any = self
        scaled = me.loss_is_scaled_for_ga
        if scaled is None:
            scaled = (
                me.model_accepts_loss_kwargs and num_items is not None
            ) or me.compute_loss_func is not None
        if scaled:
            return 1.0
        parts: int = me.current_gradient_accumulation_steps
        return parts * self.processes * size / len(of.numbers)

    @property
    def processes(self) -> int:
        """Processes that train together."""
        assert self.steering is not None
        return self.steering.ranks.size

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Trainer's loss, weighted; the training loss is measured beside it, from the same forward pass."""
        weight, targets = self._part_weight, inputs.get("labels")
        if weight is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        if targets is not None:
            targets = targets_of({"input_ids": inputs["input_ids"], "labels": targets})
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        output, self._output = self._output, None
        loss = found[0] if return_outputs else found
        if weight:
            self._note_loss(output, targets)
        weighted = loss if weight == 1 else loss * weight
        return (weighted, found[1]) if return_outputs else weighted

    def _keep_output(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        if self._part_weight is not None:
            self._output = output

    def _note_loss(self, output: Any, targets: Tensor | None) -> None:
        """Tell the monitor the mean loss of a part, from what the model gave out; nothing where it gave no such."""
        losses = _losses_in(output, targets)
        assert self._monitor is not None
        if losses is not None and (tokens := int(losses.tokens.sum())):
            self._monitor.loss(losses.mean(), examples=tokens)

    def floating_point_ops(self, inputs: Any) -> int:
        """Of all parts."""
        operations = super().floating_point_ops  # type: ignore[misc] # Trainer's
        return sum(operations(part) for part in (inputs.parts if isinstance(inputs, Parts) else [inputs]))

    def _track_num_input_tokens(self, inputs: Any) -> None:
        for part in inputs.parts if isinstance(inputs, Parts) else [inputs]:
            super()._track_num_input_tokens(part)  # type: ignore[misc] # Trainer's


class SteeredTrainer(SteeredTrainerMixin, Trainer):
    """Trainer under a controller: learning rate, batch size and window are decided anew in every round.

    ```python
    trainer = SteeredTrainer(
        model, args, train_dataset=dataset, data_collator=collate,
        controller=olrl.load_policy("default").controller(base=olrl.Base(lr=3e-4, batch_size=16, window=8)),
    )
    trainer.train()
    ```
    What an epoch, a batch and accumulation are then: see `SteeredTrainerMixin`.
    """


class Parts(dict[str, Any]):
    """The batch of an optimizer step: looks like its first part, holds all of them and how large they are.

    A part of size 0 goes through the motions.
    """

    def __init__(self, parts: list[Any], sizes: list[int]) -> None:
        super().__init__(parts[0])
        self.parts, self.sizes = parts, sizes


class _Bound:
    """Stands for a data loader that is never iterated over: how many steps there are at most."""

    def __init__(self, dataset: Any, steps: int | None) -> None:
        self.dataset, self._steps = dataset, steps

    def __len__(self) -> int:
        if self._steps is None:
            raise TypeError("a stream has no length")
        return self._steps

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class _Epochs(TrainerCallback):
    """Ends an epoch when its examples have arrived and its last round is trained, and tells the true epoch."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._epoch = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._epoch = -1

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._epoch += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        steering: Steering = self._trainer.steering
        source = steering.source
        if not isinstance(source, DatasetSource):
            return
        state.epoch = steering.examples_seen / source.size
        arrived = steering.examples_seen + steering.config.chunk > (self._epoch + 1) * source.size
        if args.max_steps <= 0 and arrived and not steering.steps_left:
            control.should_epoch_stop = True


def _check(trainer: Any) -> None:
    """Refuse what cannot work, before anything is trained."""
    args = trainer.args
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise ValueError(
            "a steered Trainer knows neither DeepSpeed nor FSDP: run it with plain data parallelism"
        )
    if args.n_gpu > 1:
        raise ValueError(
            f"a steered Trainer takes a process a GPU, not {args.n_gpu} in one: start it by torchrun"
        )
    if args.world_size > 1 and not args.average_tokens_across_devices:
        raise ValueError("average_tokens_across_devices must be True: ranks have shares of unequal size")
    if trainer.train_dataset is None:
        raise ValueError("a steered Trainer needs a train_dataset: its examples are the stream")


def _columns(trainer: Any) -> tuple[Any, Any]:
    """The data set and the collator, as Trainer's own loader would have them, without columns the model ignores."""
    dataset, collate = trainer.train_dataset, trainer.data_collator
    if (
        hasattr(dataset, "column_names")
        and hasattr(dataset, "remove_columns")
        and hasattr(dataset, "__len__")
    ):
        return trainer._remove_unused_columns(dataset, description="training"), collate
    return dataset, trainer._get_collator_with_removed_columns(collate, description="training")


def _source(dataset: Any, args: Any) -> Source:
    """The stream."""
    if not hasattr(dataset, "__len__"):
        return StreamSource(dataset)
    epochs = math.inf if args.max_steps > 0 else args.num_train_epochs
    return DatasetSource(dataset, epochs=epochs)


def _losses_in(output: Any, targets: Tensor | None) -> SequenceLosses | None:
    """Losses from what a model gave out: log-probabilities of labels, as TRL's models do, or logits."""
    log_probs, mask = getattr(output, "log_probs", None), getattr(output, "label_mask", None)
    if log_probs is not None and mask is not None:
        counted = (-log_probs.detach().float() * mask).sum(dim=1)
        return SequenceLosses(sums=counted, tokens=mask.sum(dim=1))
    logits = getattr(output, "logits", None)
    if logits is None or targets is None:
        return None
    return losses_of_targets(logits.detach()[:, : targets.shape[1]], targets)


def _unlabelled(part: Any) -> Any:
    """A part without anything to predict, as far as counting goes."""
    return {**part, "labels": torch.full_like(part["labels"], IGNORED)} if "labels" in part else part
