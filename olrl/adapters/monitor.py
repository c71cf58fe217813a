"""Measures signals in a training loop that is not ours."""

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from olrl.adapters.losses import Scorer, causal_lm_losses, predicted_tokens
from olrl.control.decision import Base, Decision
from olrl.learners.cost import CostModel
from olrl.learners.gradient_meter import GradientMeter
from olrl.learners.learner import UpdateReport
from olrl.learners.ranks import Ranks
from olrl.monitor.detectors import DetectorBank
from olrl.monitor.histograms import TokenHistograms
from olrl.monitor.monitor import ChunkLosses, LoopMonitor
from olrl.monitor.signals import Signals

STATE_FORMAT = 2  # of `Monitor.state_dict`; the first left the training since the last signals out
_UNKNOWN = Decision(lr=math.nan, batch_size=1, window=0)  # nothing is known of what is in force


@dataclass
class _Training:
    """What is known of the training since the last signals."""

    losses: list[
        tuple[Tensor | float, float]
    ]  # of the step to come: a mean, and tokens or examples it is over
    loss_sum: float = 0.0
    loss_weight: float = 0.0
    updates: int = 0
    examples: int = 0
    nonfinite: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "losses": [[float(loss), weight] for loss, weight in self.losses]}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "_Training":
        """That of `state_dict()`."""
        return cls(**{**state, "losses": [(float(loss), float(weight)) for loss, weight in state["losses"]]})


class Monitor:
    """Signals of a model that learns in the caller's own loop.

    ```python
    monitor = olrl.Monitor(model, optimizer)
    controller = policy.controller(base=olrl.Base(lr=3e-4, batch_size=16, window=8))
    for chunk in chunks:                    # what is new: token ids (C, L + 1), or a batch of your collator
        monitor.score(chunk)                # before any training on it
        decision = controller.decide(monitor.signals())
        monitor.apply(decision)             # sets the optimizer's rate; batches and window are yours
        for batch in my_batches(decision):
            loss = my_loss(model, batch)
            monitor.loss(loss, examples=len(batch))
            loss.backward()
            optimizer.step()                # seen by a hook, before it changes anything
            optimizer.zero_grad()
    ```
    `olrl.adapters` has loops of which this is a part already. Whatever is not told is a missing signal, which
    policies are trained to do without: `score` gives the losses, shifts and alarms; `loss` the training loss; steps
    of the optimizer give the gradient signals. Without `optimizer`, any that steps this model's weights is seen
    (its gradients must be complete when `step` is called; of a `step(closure)` call `before_step`). Where gradients
    are clipped or scaled, call `before_step` between `backward` and that. A step whose loss or gradient is not
    finite is counted and does not happen: its gradients are taken away.

    The model's own `loss` is never used: it is scored by `losses`, by default next-token cross-entropy of
    `logits` (`causal_lm_losses`), in evaluation mode, without recording gradients, `pass_size` sequences at
    once. `probes` sequences given to `score` beside the new ones make the signal `old_new_gap`. `base` is what
    is in force before the first decision. `gradients=False` spares the four copies of the trainable weights,
    all gradient signals, and with several processes the notice of steps that are not finite. With several
    processes (`ranks`) `loss` and `scored` take what each has or all know.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9))
    >>> monitor = Monitor(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> round(monitor.score(torch.tensor([[1, 2, 3], [4, 5, 6]]))) == 2  # about log 9
    True
    >>> monitor.signals().lr
    0.1
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        base: Base | None = None,
        losses: Scorer = causal_lm_losses,
        cost: CostModel | None = None,
        price: float = 0.0,
        pass_size: int = 16,
        gradients: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        if pass_size < 1:
            raise ValueError(f"pass_size must be at least 1 sequence, not {pass_size!r}")
        self.model = model
        self.cost = cost or CostModel()
        self.ranks = ranks or Ranks()
        self.optimizer: torch.optim.Optimizer | None = None
        self.in_force = None if base is None else base.decision()
        self._losses, self._pass_size, self._with_gradients = losses, pass_size, gradients
        self._loop = LoopMonitor(
            detectors=DetectorBank(), histograms=TokenHistograms(), cost=self.cost, price=price
        )
        self._meter: GradientMeter | None = None
        self._scored: ChunkLosses = ChunkLosses()
        self._tokens: NDArray[np.int64] | None = None
        self._training = _Training(losses=[])
        self._rates: list[float] = []
        self._rounds = 0
        self._measured = False  # the step to come, by `before_step`
        self._hook = _watch(self) if optimizer is None else optimizer.register_step_pre_hook(_pre_hook(self))
        if optimizer is not None:
            self._found(optimizer)

    def watch(self, optimizer: torch.optim.Optimizer) -> None:
        """Take this optimizer for the one to measure and to set: for one that is made after the monitor."""
        self._hook.remove()
        self._hook = optimizer.register_step_pre_hook(_pre_hook(self))
        self._found(optimizer)

    # What a round brings --------------------------------------------------------------------------------------

    def score(self, chunk: Any, probes: Any = None, *, n_bytes: float | None = None) -> float | None:
        """Score new sequences, and probes from the window, before any training on them; nats per token.

        `chunk` and `probes` are each a batch, or a list of batches. `n_bytes` is how many bytes of text the
        predicted tokens of the chunk stand for, for the signal `loss_bpb`. `None` if the loss is not finite. Must
        be called by every rank.
        """
        new, old = _batches(chunk), _batches(probes)
        losses = self.sequence_losses(new)
        return self.scored(
            losses,
            self.sequence_losses(old) if old else None,
            tokens=np.concatenate([predicted_tokens(batch) for batch in new]) if new else None,
            n_bytes=n_bytes,
        )

    def sequence_losses(self, batches: Sequence[Any]) -> NDArray[np.float64]:
        """Summed loss in nats and number of predicted tokens of each sequence, shape (n, 2); changes nothing."""
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            with torch.no_grad():
                found = [
                    self._losses(self.model, part)
                    for batch in batches
                    for part in _parts(batch, self._pass_size)
                ]
        finally:
            for module in training:
                module.training = True
        if not found:
            return np.zeros((0, 2))
        pairs = torch.cat([torch.stack([one.sums.double(), one.tokens.double()], dim=1) for one in found])
        rows: NDArray[np.float64] = pairs.cpu().numpy()
        return rows

    def scored(
        self,
        new: NDArray[np.float64],
        old: NDArray[np.float64] | None = None,
        *,
        tokens: NDArray[Any] | None = None,
        n_bytes: float | None = None,
    ) -> float | None:
        """Take in losses (n, 2) of new sequences and of probes, as `sequence_losses` gives them."""
        new = new[new[:, 1] > 0]
        if not len(new):
            self._scored, self._tokens = ChunkLosses(), None
            return None
        total, count = new.sum(axis=0)
        self._tokens = tokens
        if not math.isfinite(total):
            self._scored = ChunkLosses(nonfinite=True)
            return None
        loss = float(total / count)
        means = new[:, 0] / new[:, 1]
        self._scored = ChunkLosses(
            loss_nats=loss,
            loss_bpb=None if not n_bytes else float(total) / (math.log(2) * n_bytes),
            loss_std=float(np.sqrt(np.mean((means - loss) ** 2))),
            old_new_gap=_gap(old, loss),
        )
        return loss

    def signals(self) -> Signals:
        """Everything measured since the last call; called once a round, between `score` and `apply`."""
        in_force = self.in_force
        if self._rounds or self._training.updates or self._training.nonfinite:
            self._close(in_force or _UNKNOWN)
        self._rounds += 1
        measured = self._loop.take_in(self._scored, self._tokens, in_force=in_force or _UNKNOWN)
        self._scored, self._tokens = ChunkLosses(), None
        if in_force is None:
            lr = self.optimizer.param_groups[0]["lr"] if self.optimizer is not None else None
            return replace(measured, lr=None if lr is None else float(lr), batch_size=None, window=None)
        return measured

    def apply(self, decision: Decision) -> None:
        """From now on this is in force; its rate is put into the optimizer, if that is known.

        Groups whose rates differed when the optimizer was found keep their proportions to the first; a positive
        weight decay goes to the groups that had one.
        """
        self.in_force = decision
        if self.optimizer is not None:
            self._set_knobs(decision)

    def loss(self, loss: Tensor | float, *, examples: int = 0) -> None:
        """Tell the mean loss of a batch, nats per token, before the step that it leads to; may be of a part."""
        value = loss.detach() if isinstance(loss, Tensor) else loss
        self._training.losses.append((value, float(examples or 1)))

    def half(self, examples: int, *, of: int, scale: float = 1.0) -> None:
        """The backward pass of `examples` out of `of` is done: tells `grad_snr` from the first step alone."""
        if self._with_gradients and not self._training.updates:
            self._gradients().half(examples, of=of, scale=scale)

    def before_step(self, examples: int | None = None, *, scale: float = 1.0) -> bool:
        """Gradients are complete and a step comes: measure them; False if it had better not be taken.

        That is when a loss or a gradient is not finite. `scale` undoes a scaling of the loss. `examples` is
        the batch size over all ranks, by default that in force. The optimizer's own hook calls this unless you did.
        """
        training, losses = self._training, self._training.losses
        size = examples or self._batch_size()
        training.losses = []
        told = [(float(loss), weight) for loss, weight in losses]
        # With several ranks gradients alone tell: they are the same for all.
        finite = self.ranks.size > 1 or all(math.isfinite(loss) for loss, _ in told)
        if finite and self._with_gradients:
            finite = self._gradients().before_step(size, scale=scale)
        self._measured = True
        if not finite:
            training.nonfinite += 1
            return False
        for loss, weight in told:
            training.loss_sum += loss * weight
            training.loss_weight += weight
        training.updates += 1
        training.examples += size
        return True

    def drop_gradients(self) -> None:
        """Take the gradients away, so that the step to come changes nothing."""
        for weights in self.model.parameters():
            weights.grad = None

    # How it is done -------------------------------------------------------------------------------------------

    def _batch_size(self) -> int:
        told = sum(int(weight) for _, weight in self._training.losses)
        return self.in_force.batch_size if self.in_force is not None else max(told, 1)

    def _gradients(self) -> GradientMeter:
        if self._meter is None:
            self._meter = GradientMeter(self.model.parameters())
        return self._meter

    def _close(self, in_force: Decision) -> None:
        """What the training since the last signals came to."""
        training, meter = self._training, self._meter
        ratio = meter.end() if meter is not None else None
        told = self.ranks.total(np.array([training.loss_sum, training.loss_weight]))
        train_loss = float(told[0] / told[1]) if told[1] and math.isfinite(told[0]) else None
        batch_size = (
            in_force.batch_size if in_force is not _UNKNOWN else training.examples / max(training.updates, 1)
        )
        tried = training.updates + training.nonfinite
        report = UpdateReport(
            updates=training.updates,
            examples=training.examples,
            train_loss_nats=train_loss,
            grad_norm=meter.norm if meter is not None else None,
            grad_snr=meter.snr if meter is not None else None,
            grad_cos=meter.cos if meter is not None else None,
            update_ratio=ratio,
            nonfinite=training.nonfinite,
        )
        self._loop.trained(in_force, report, tried * (self.cost.update_cost + batch_size))
        self._training = _Training(losses=training.losses)
        if meter is not None:
            meter.begin()

    def _found(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]

    def _stepping(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        """An optimizer is about to step: ours, or one that nobody told us of."""
        if self.optimizer is None:
            mine = {id(p) for p in self.model.parameters()}
            if not any(id(p) in mine for group in optimizer.param_groups for p in group["params"]):
                return
            self._found(optimizer)
        if optimizer is not self.optimizer or closure:
            return
        if not self._measured and not self.before_step():
            self.drop_gradients()
        self._measured = False

    def _set_knobs(self, decision: Decision) -> None:
        assert self.optimizer is not None
        first = self._rates[0] if self._rates and self._rates[0] > 0 else None
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            lr = decision.lr if first is None else decision.lr * (rate / first)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
            if decision.weight_decay > 0 and group.get("weight_decay", 0) > 0:
                group["weight_decay"] = decision.weight_decay

    def close(self) -> None:
        """Stop watching the optimizer."""
        self._hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """All that later signals depend on, between two steps, also in the middle of a round.

        Plain values and numpy arrays, so that JSON and safetensors can hold it. Not in it: model and optimizer, and
        what was scored since the last `signals`. Costs a copy of two or three vectors as long as the trainable
        weights.
        """
        meter = self._meter
        return {
            "format": STATE_FORMAT,
            "loop": self._loop.state_dict(),
            "in_force": None if self.in_force is None else asdict(self.in_force),
            "rounds": self._rounds,
            "training": self._training.state_dict(),
            "measured": self._measured,
            "gradients": {} if meter is None else _arrays(meter.state_dict()),
            "gradients_of_round": None if meter is None else meter.round_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()` of a monitor built alike; ValueError for a state of another format."""
        if state.get("format") != STATE_FORMAT:
            raise ValueError(
                f"a monitor's state of format {state.get('format', 1)} cannot be gone on with, "
                f"since this version reads format {STATE_FORMAT}: begin anew"
            )
        self._loop.load_state_dict(state["loop"])
        self.in_force = None if state["in_force"] is None else Decision(**state["in_force"])
        self._rounds, self._measured = int(state["rounds"]), bool(state["measured"])
        self._training = _Training.of_state(state["training"])
        self._scored, self._tokens = ChunkLosses(), None
        self._meter = None
        if state["gradients_of_round"] is not None:
            moves = {name: torch.from_numpy(value) for name, value in state["gradients"].items()}
            self._gradients().load_state_dict(moves)
            self._gradients().load_round_state(state["gradients_of_round"])


def _arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def _pre_hook(monitor: Monitor) -> Callable[..., None]:
    """A hook that does not keep the monitor alive."""
    reference = weakref.ref(monitor)

    def hook(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        watching = reference()
        if watching is not None:
            closure = args[1] if len(args) > 1 else kwargs.get("closure")  # the first is the optimizer
            watching._stepping(optimizer, closure is not None)

    return hook


def _watch(monitor: Monitor) -> Any:
    """Look at every optimizer until one steps this model's weights; removed with the monitor."""
    handle = register_optimizer_step_pre_hook(_pre_hook(monitor))
    weakref.finalize(monitor, handle.remove)
    return handle


def _batches(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _parts(batch: Any, size: int) -> list[Any]:
    """Batches of token ids cut into passes; those of collators are as large as their maker wants them."""
    return list(torch.split(batch, size)) if isinstance(batch, Tensor) else [batch]


def _gap(old: NDArray[np.float64] | None, loss: float) -> float | None:
    if old is None:
        return None
    total, count = old[old[:, 1] > 0].sum(axis=0)
    return float(total / count) - loss if count and math.isfinite(total) else None
