"""Many learners of one model, trained side by side: `CausalLMLearner`, stacked."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olrl.learners.networks import network_of
from olrl.learners.optimizer import OptimizerConfig
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
        counts = {name: np.zeros(k, dtype=np.int64) for name in ("updates", "nonfinite")}
        figures = [field.name for field in fields(cls) if field.name not in counts]
        return cls(**counts, **{name: np.full(k, np.nan) for name in figures})  # type: ignore[arg-type] # by name


class LearnerStack:
    """n copies of a causal language model, each with weights, moments and a last move of its own.

    What `CausalLMLearner` does for one, to rounding; rates, batch sizes, numbers of updates and decays differ
    from learner to learner. All start from the weights that `model` has when the stack is made; the model
    itself is left alone. Learners of one batch size run in blocks of `pass_size` sequences: the products of a
    block are one call, and its weights stay in the cache from the first to the last step of a round. A block
    whose learners take different numbers of steps shrinks as they finish.

    Holds five vectors of the model's size for each learner (weights, two moments, last move, gradient).
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
        self._network = network_of(
            model, learners=2
        )  # whatever n is: one that takes weights as they are given
        self.pass_size = pass_size or (self._network.pass_size if self._device.type == "cpu" else _GPU_PASS)
        self._optimizer = StackedOptimizer(optimizer or OptimizerConfig())
        self.values = self._initial.repeat(n, 1)
        self._moments = Moments.zeros(self.values)
        self._last_move = torch.zeros_like(self.values)
        self._gradients = torch.zeros_like(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def reset(self, which: Ints | slice = slice(None)) -> None:
        """Put some learners back to the model's weights: no moments, no last move."""
        self.values[which] = self._initial
        self._moments.reset(which)
        self._last_move[which] = 0.0

    def score(self, examples: NDArray[np.int32], which: Ints) -> Floats:
        """Losses of examples (k, C, L + 1) of the learners in `which`, shape (k, C), nats per token."""
        k, c, _ = examples.shape
        losses = np.empty((k, c))
        tokens = self._tensor(examples)
        for rows, columns in _blocks(np.full(k, c), self.pass_size):
            weights = self.values[which[rows]]
            found = self._network.losses(weights, tokens[rows, columns])
            losses[rows, columns] = found.double().cpu().numpy()
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
    ) -> StackReports:
        """Train the k learners in `which`, and tell what happened.

        Row i of `examples`, shape (k, most, L + 1), holds its batches one after the other: `updates[i]` of
        `batch_size[i]` each; what lies behind them is not looked at.
        """
        reports = StackReports.empty(len(which))
        order = np.lexsort((-updates, batch_size))
        order = order[updates[order] > 0]
        for block in _learner_blocks(order, batch_size, self.pass_size):
            steps = updates[block]
            size = int(batch_size[block[0]])
            batches = examples[block, : steps[0] * size]
            tokens = self._tensor(batches.reshape(len(block), -1, size, batches.shape[2]))
            rates = _column(lr[block], self._device), _column(weight_decay[block], self._device)
            run = _Block(self, which[block], tokens, steps, *rates)
            run.train()
            run.report(reports, block)
        return reports

    def _tensor(self, examples: NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(examples.astype(np.int64)).to(self._device)


class _Block:
    """Learners of one batch size through one round, those with most steps first."""

    def __init__(
        self, stack: LearnerStack, which: Ints, tokens: Tensor, steps: Ints, lr: Tensor, decay: Tensor
    ) -> None:
        self.stack, self.which, self.tokens, self.steps = stack, which, tokens, steps
        self.lr, self.decay = lr, decay
        self.values = stack.values[which]
        self.moments = stack._moments.of(which)
        self.gradients = stack._gradients[: len(which)]
        n = len(which)
        self.taken, self.lost = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.loss_sum = np.zeros(n)
        self.norm, self.cosine, self.snr = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
        self.single: Tensor | None = None  # first gradients, where batches are single examples

    def train(self) -> None:
        """All steps, then put weights and moments back."""
        for k in range(int(self.steps[0])):
            self._step(k, int(np.count_nonzero(self.steps > k)))
        stack, which = self.stack, self.which
        moved = _array(self.taken > 0, self.values.device)
        move = self.values - stack.values[which]
        self.ratio = _quotient(_norms(move), _norms(stack.values[which]))
        stack._last_move[which] = torch.where(moved[:, None], move, stack._last_move[which])
        stack.values[which] = self.values
        stack._moments.put(which, self.moments)

    def _step(self, k: int, active: int) -> None:
        gradients = self.gradients[:active].zero_()
        measuring = np.isnan(self.snr[:active]).any() and self.tokens.shape[2] > 1
        losses, half = self._differentiate(k, active, keep_half=bool(measuring))
        norm = _norms(gradients)
        loss = losses.mean(dim=1).double().cpu().numpy()
        finite = np.isfinite(loss) & np.isfinite(norm)
        self._measure(active, norm, half, finite)
        self.loss_sum[:active] += np.where(finite, loss, 0.0)
        self.taken[:active] += finite
        self.lost[:active] += ~finite
        self._move(active, finite)

    def _differentiate(self, k: int, active: int, *, keep_half: bool) -> tuple[Tensor, Tensor | None]:
        """Gradients of step k's mean losses; with `keep_half`, also what the first half of each batch gave."""
        tokens = self.tokens[:active, k]
        size = tokens.shape[1]
        middle = size // 2 if keep_half else 0
        losses = [self._accumulate(tokens[:, :middle], size)] if middle else []
        half = self.gradients[:active].clone() if middle else None
        losses.append(self._accumulate(tokens[:, middle:], size))
        return torch.cat(losses, dim=1), half

    def _accumulate(self, tokens: Tensor, of: int) -> Tensor:
        active, pass_size = len(tokens), self.stack.pass_size
        parts = torch.split(tokens, max(1, pass_size // active), dim=1)
        values, gradients, network = self.values[:active], self.gradients[:active], self.stack._network
        losses = [network.add_gradients(values, part, to=gradients, scale=1.0 / of) for part in parts]
        return torch.cat(losses, dim=1)

    def _measure(self, active: int, norm: Floats, half: Tensor | None, finite: NDArray[np.bool_]) -> None:
        gradients = self.gradients[:active]
        first = finite & (self.taken[:active] == 0)
        if first.any():
            last = self.stack._last_move[self.which[:active]]
            cosine = -_dots(gradients, last) / np.maximum(norm * _norms(last), 1e-300)
            cosine[_norms(last) * norm == 0] = np.nan
            self.cosine[:active][first], self.norm[:active][first] = cosine[first], norm[first]
        wanted = finite & np.isnan(self.snr[:active])
        if half is not None and wanted.any():
            size = self.tokens.shape[2]
            a = size // 2
            snr = _snr(half * (size / a), (gradients - half) * (size / (size - a)), a, size - a)
            self.snr[:active][wanted] = snr[wanted]
        elif self.tokens.shape[2] == 1 and wanted.any():
            self._measure_singles(active, wanted)

    def _measure_singles(self, active: int, wanted: NDArray[np.bool_]) -> None:
        """From two consecutive gradients, where batches are single examples."""
        gradients = self.gradients[:active]
        if self.single is None:
            self.single = torch.full_like(self.gradients, torch.nan)
        known = ~torch.isnan(self.single[:active, 0]).cpu().numpy()
        second, first = wanted & known, wanted & ~known
        if second.any():
            self.snr[:active][second] = _snr(self.single[:active], gradients, 1, 1)[second]
        if first.any():
            self.single[:active][_array(first, gradients.device)] = gradients[_array(first, gradients.device)]

    def _move(self, active: int, finite: NDArray[np.bool_]) -> None:
        if finite.all():
            part = slice(active)
            self.stack._optimizer.step(
                self.values[part],
                self.gradients[part],
                self.moments.view(part),
                self.lr[part],
                self.decay[part],
            )
            return
        rows = np.flatnonzero(finite)
        if not len(rows):
            return
        values, moments = self.values[rows], self.moments.of(rows)
        self.stack._optimizer.step(values, self.gradients[rows], moments, self.lr[rows], self.decay[rows])
        self.values[rows] = values
        self.moments.put(rows, moments)

    def report(self, reports: StackReports, rows: Ints) -> None:
        """Write what happened into these rows of the reports."""
        moved = self.taken > 0
        reports.updates[rows], reports.nonfinite[rows] = self.taken, self.lost
        reports.train_loss_nats[rows] = np.where(moved, self.loss_sum / np.maximum(self.taken, 1), np.nan)
        reports.grad_norm[rows], reports.grad_cos[rows] = self.norm, self.cosine
        reports.grad_snr[rows] = self.snr
        reports.update_ratio[rows] = np.where(moved, self.ratio, np.nan)


def _learner_blocks(order: Ints, batch_size: Ints, pass_size: int) -> Iterator[Ints]:
    """Runs of learners of one batch size, each as many as fill a pass."""
    sizes = batch_size[order]
    for size in np.unique(sizes):
        group = order[sizes == size]
        yield from np.split(group, range(max(1, pass_size // size), len(group), max(1, pass_size // size)))


def _blocks(counts: Ints, pass_size: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of rows and columns of a table of k rows of C sequences each, about a pass each."""
    k, c = len(counts), int(counts[0]) if len(counts) else 0
    rows, columns = max(1, pass_size // max(c, 1)), min(c, max(pass_size, 1) * 2)
    for row in range(0, k, rows):
        for column in range(0, c, columns):
            yield slice(row, row + rows), slice(column, column + columns)


def _column(values: Floats, device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(device)[:, None]


def _array(values: NDArray[np.bool_], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)


def _dots(a: Tensor, b: Tensor) -> Floats:
    dots: Floats = torch.linalg.vecdot(a, b).double().cpu().numpy()
    return dots


def _norms(a: Tensor) -> Floats:
    return np.sqrt(_dots(a, a))


def _snr(a: Tensor, b: Tensor, n_a: int, n_b: int) -> Floats:
    """Squared norm of the mean gradient over the variance of one example's: see `causal_lm`."""
    difference = a - b
    return _quotient(_dots(a, b), _dots(difference, difference) / (1 / n_a + 1 / n_b))


def _quotient(a: Floats, b: Floats) -> Floats:
    quotient: Floats = np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
    return quotient
