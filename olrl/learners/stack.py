"""Many learners of one model, trained side by side: `CausalLMLearner`, stacked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.learners.compiled_log_bilinear_network import CompiledLogBilinearNetwork
from olrl.learners.gradient_noise import snr, snr_of_halves
from olrl.learners.network import Scratch
from olrl.learners.networks import network_of
from olrl.learners.optimizer import OptimizerConfig
from olrl.learners.schedule import Schedule
from olrl.learners.stacked_optimizer import Moments, StackedOptimizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_GPU_PASS = 1024  # sequences a call, where arithmetic is wide


@dataclass(frozen=True, kw_only=True)
class StackReports:
    """`UpdateReport` of k learners, arrays of shape (k,); NaN stands for what was not measured."""

    updates: Ints
    nonfinite: Ints
    train_loss_nats: Floats
    grad_norm: Floats
    grad_snr: Floats
    grad_cos: Floats
    update_ratio: Floats

    @classmethod
    def empty(cls, k: int) -> "StackReports":
        """Reports of learners that did nothing."""
        return cls.of(np.zeros((2, k), dtype=np.int64), np.full((5, k), np.nan))

    @classmethod
    def of(cls, counts: Ints, figures: Floats) -> "StackReports":
        """Views of what the rows of `counts` (2, k) and `figures` (5, k) hold, in the order of the fields."""
        updates, nonfinite = counts
        loss, norm, snr, cosine, ratio = figures
        return cls(
            updates=updates,
            nonfinite=nonfinite,
            train_loss_nats=loss,
            grad_norm=norm,
            grad_snr=snr,
            grad_cos=cosine,
            update_ratio=ratio,
        )


class LearnerStack:
    """n copies of a causal language model, each with weights, moments and a last move of its own.

    What `CausalLMLearner` does for one, to rounding; rates, batch sizes, numbers of updates and decays differ
    from learner to learner. All start from the weights that `model` has when the stack is made; the model
    itself is put into evaluation mode and else left alone. Learners run in blocks of `pass_size` sequences
    (`Schedule`): the products of a block are one call, its weights stay in the cache from the first to the last
    step of a round, and it shrinks as learners finish. Log-bilinear models on a CPU, whose products are too small
    for this to pay, are trained one by one in compiled code (`CompiledLogBilinearNetwork.train_round`).

    Holds four vectors of the model's size for each learner: weights, two moments, last move.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        n: int,
        *,
        optimizer: OptimizerConfig | None = None,
        pass_size: int | None = None,
    ) -> None:
        if n < 1:
            raise ValueError(f"a stack holds at least 1 learner, not {n!r}")
        model.eval()
        trainable = [p.detach().reshape(-1) for p in model.parameters() if p.requires_grad]
        self._initial = torch.cat(trainable)
        self._device = self._initial.device
        self._network = network_of(model, learners=2)  # for any n: one that takes weights as they are given
        self.pass_size = pass_size or (self._network.pass_size if self._device.type == "cpu" else _GPU_PASS)
        self._optimizer = StackedOptimizer(optimizer or OptimizerConfig())
        self.values = self._initial.repeat(n, 1)
        self._moments = Moments.zeros(self.values)
        self._last_move = torch.zeros_like(self.values)
        self._scratch = Scratch()

    def __len__(self) -> int:
        return len(self.values)

    def reset(self, which: Ints | slice = slice(None)) -> None:
        """Put some learners back to the model's weights: no moments, no last move."""
        self.values[which] = self._initial
        self._moments.reset(which)
        self._last_move[which] = 0.0

    def score(self, examples: NDArray[np.int32], which: Ints) -> Floats:
        """Losses of examples (k, C, L + 1) of the learners in `which`, shape (k, C), nats per token."""
        tokens = self._tensor(examples)
        at_once = max(1, self.pass_size // examples.shape[1])
        parts = [
            self._network.losses(self._rows(which[first : first + at_once]), tokens[first : first + at_once])
            for first in range(0, len(which), at_once)
        ]
        losses: Floats = torch.cat(parts).double().cpu().numpy()
        return losses

    def update(
        self,
        examples: NDArray[np.int32],
        which: Ints,
        *,
        batch_size: Ints,
        updates: Ints,
        lr: Floats,
        weight_decay: Floats,
        pull: Floats | None = None,
    ) -> StackReports:
        """Train the k learners in `which`, and tell what happened.

        Row i of `examples`, shape (k, most, L + 1), holds its batches one after the other: `updates[i]` of
        `batch_size[i]` each; what lies behind them is not looked at. `pull` is none where it is not given.
        """
        towards = np.zeros(len(which)) if pull is None else lr * pull
        if isinstance(self._network, CompiledLogBilinearNetwork) and self._optimizer.config.name == "adamw":
            if towards.any():
                return self._update_pulled_apart(
                    examples,
                    which,
                    batch_size=batch_size,
                    updates=updates,
                    lr=lr,
                    weight_decay=weight_decay,
                    pull=towards / lr,
                )
            return self._update_compiled(
                self._network,
                self._tensor(examples),
                which,
                batch_size=batch_size,
                updates=updates,
                lr=lr,
                weight_decay=weight_decay,
            )
        return self._update_in_blocks(
            examples, which, batch_size, updates, lr=lr, weight_decay=weight_decay, towards=towards
        )

    def _update_pulled_apart(
        self, examples: NDArray[np.int32], which: Ints, *, pull: Floats, **settings: Any
    ) -> StackReports:
        """Those with a pull in blocks, which compiled code does not know of, the others as they always are."""
        reports = StackReports.empty(len(which))
        free, pulled = np.flatnonzero(pull == 0), np.flatnonzero(pull)
        own = {name: values[pulled] for name, values in settings.items()}
        towards = own["lr"] * pull[pulled]
        found = [
            self._update_in_blocks(
                examples[pulled],
                which[pulled],
                own.pop("batch_size"),
                own.pop("updates"),
                towards=towards,
                **own,
            )
        ]
        if len(free):
            found.append(
                self.update(examples[free], which[free], **{name: v[free] for name, v in settings.items()})
            )
        for part, report in zip((pulled, free), found, strict=False):
            for name, values in vars(report).items():
                getattr(reports, name)[part] = values
        return reports

    def _update_in_blocks(
        self,
        examples: NDArray[np.int32],
        which: Ints,
        batch_size: Ints,
        updates: Ints,
        *,
        lr: Floats,
        weight_decay: Floats,
        towards: Floats,
    ) -> StackReports:
        reports = StackReports.empty(len(which))
        schedule = Schedule.of(batch_size, updates, at_once=self._network.sequences_at_once)
        for block in schedule.blocks(self.pass_size):
            learners, pieces = schedule.learners[block], schedule.part(block)
            tokens = self._tensor(examples[learners, : int((batch_size * updates)[learners].max())])
            rates = _column(lr[learners], self._device), _column(weight_decay[learners], self._device)
            pulled = _column(towards[learners], self._device) if towards.any() else None
            run = _Block(self, which[learners], tokens, pieces, *rates, pulled)
            run.train()
            run.report(reports, learners)
        return reports

    def _update_compiled(
        self, network: CompiledLogBilinearNetwork, tokens: Tensor, which: Ints, **settings: Any
    ) -> StackReports:
        counts, figures = np.zeros((2, len(which)), dtype=np.int64), np.full((5, len(which)), np.nan)
        network.train_round(
            self.values,
            self._moments,
            self._last_move,
            which,
            tokens,
            optimizer=self._optimizer.config,
            counts=counts,
            figures=figures,
            **settings,
        )
        return StackReports.of(counts, figures)

    def _rows(self, which: Ints) -> Tensor:
        """Weights of some learners, to read: no copy where they lie side by side."""
        first, end = int(which[0]), int(which[0]) + len(which)
        return self.values[first:end] if np.array_equal(which, np.arange(first, end)) else self.values[which]

    def _tensor(self, examples: NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(examples.astype(np.int64)).to(self._device)


class _Block:
    """A block of learners through one round, piece by piece."""

    def __init__(
        self,
        stack: LearnerStack,
        which: Ints,
        tokens: Tensor,
        schedule: Schedule,
        lr: Tensor,
        decay: Tensor,
        pulled: Tensor | None,  # the share of the distance from the initial weights that a step takes off
    ) -> None:
        self.stack, self.which, self.tokens, self.schedule = stack, which, tokens, schedule
        self.lr, self.decay, self.pulled = lr, decay, pulled
        self.values = stack.values[which]
        self.moments = stack._moments.of(which)
        n = len(which)
        self.gradients = stack._scratch.take("gradients", *self.values.shape, like=self.values).zero_()
        self.half: dict[int, Tensor] = {}  # what the first half of a first batch gave
        self.before: dict[int, Tensor] = {}  # gradients of batches before, where the noise is not known yet
        # Of the batch at hand, so far; where the network is, which need not wait to be asked for it.
        self.loss = torch.zeros(n, dtype=torch.float64, device=self.values.device)
        self.taken, self.lost = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.loss_sum = np.zeros(n)
        self.norm, self.cosine, self.snr = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)

    def train(self) -> None:
        """All steps, then put weights and moments back."""
        for piece in range(self.schedule.pieces):
            self._differentiate(piece)
            for i in self.schedule.halves(piece):
                self.half[i] = self.gradients[i].clone()
            for run in self.schedule.ends(piece):
                self._step(run)
        stack, which = self.stack, self.which
        start = stack.values[which]
        move = self.values - start
        self.ratio = _quotient(_norms(move), _norms(start))
        moved = np.flatnonzero(self.taken)
        stack._last_move[which[moved]] = move[moved]
        stack.values[which] = self.values
        stack._moments.put(which, self.moments)

    def _differentiate(self, piece: int) -> None:
        """Add to the gradients of all learners that have such a piece."""
        rows, scale = self.schedule.examples(piece)
        active = len(rows)
        tokens = self.tokens[torch.arange(active)[:, None], torch.from_numpy(rows)]
        counts = torch.from_numpy(scale).to(tokens.device)
        losses = self.stack._network.add_gradients(
            self.values[:active], tokens, to=self.gradients[:active], scale=counts
        )
        self.loss[:active] += (losses.double() * counts).sum(dim=1)

    def _step(self, run: slice) -> None:
        """One optimizer step of a run of learners, whose batch is complete; none of those that are not finite."""
        norm = _norms(self.gradients[run])
        loss: Floats = self.loss[run].cpu().numpy()
        finite = np.isfinite(loss) & np.isfinite(norm)
        parts = [run] if finite.all() else [slice(i, i + 1) for i in run.start + np.flatnonzero(finite)]
        for part in parts:
            self._measure(part, norm[part.start - run.start : part.stop - run.start])
            if self.pulled is not None:
                self.values[part] = self.values[part].lerp(
                    self.stack._initial.expand_as(self.values[part]), self.pulled[part]
                )
            self.stack._optimizer.step(
                self.values[part],
                self.gradients[part],
                self.moments.view(part),
                self.lr[part],
                self.decay[part],
            )
        self.taken[run] += finite
        self.lost[run] += ~finite
        self.loss_sum[run] += np.where(finite, loss, 0.0)
        self.loss[run] = 0.0
        if not finite.all():  # of those that took a step, the optimizer has put it to zero
            self.gradients[run] = 0.0
            for i in run.start + np.flatnonzero(~finite):
                self.half.pop(int(i), None)  # another batch's gradient is not the rest of it

    def _measure(self, part: slice, norm: Floats) -> None:
        """Figures of the first gradient that is finite, and of the noise in the first batch that tells."""
        first = self.taken[part] == 0
        if first.any():
            last = self.stack._last_move[self.which[part]]
            cosine = _quotient(-_dots(self.gradients[part], last), _norms(last) * norm)
            self.norm[part], self.cosine[part] = (
                np.where(first, norm, self.norm[part]),
                np.where(first, cosine, self.cosine[part]),
            )
        for i in part.start + np.flatnonzero(np.isnan(self.snr[part])):
            self._measure_noise(int(i))

    def _measure_noise(self, i: int) -> None:
        """From the halves of the first batch; of single or equal examples, from two batches in a row."""
        size, gradient = int(self.schedule.batch_size[i]), self.gradients[i]
        half, before = self.half.pop(i, None), self.before.get(i)
        found = None
        if half is not None:
            found = snr_of_halves(half, gradient, size)
        elif before is not None:
            found = snr(before, gradient, size, size)
        if found is None:
            self.before[i] = gradient.clone()
        else:
            self.snr[i] = found

    def report(self, reports: StackReports, rows: Ints) -> None:
        """Write what happened into these rows of the reports."""
        moved = self.taken > 0
        reports.updates[rows], reports.nonfinite[rows] = self.taken, self.lost
        reports.train_loss_nats[rows] = np.where(moved, self.loss_sum / np.maximum(self.taken, 1), np.nan)
        reports.grad_norm[rows], reports.grad_cos[rows] = self.norm, self.cosine
        reports.grad_snr[rows] = self.snr
        reports.update_ratio[rows] = np.where(moved, self.ratio, np.nan)


def _column(values: Floats, device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)[:, None]


def _dots(a: Tensor, b: Tensor) -> Floats:
    dots: Floats = torch.linalg.vecdot(a, b).double().cpu().numpy()
    return dots


def _norms(a: Tensor) -> Floats:
    return np.sqrt(_dots(a, a))


def _quotient(a: Floats, b: Floats) -> Floats:
    quotient: Floats = np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
    return quotient
