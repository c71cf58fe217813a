"""Many quadratic learners trained at once: `olrl.learners.quadratic.QuadraticLearner`, vectorised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olrl.learners.quadratic import BETA1, BETA2, EPS, LOST

from .quadratic_problem import QuadraticProblem
from .training_batches import Array, Batches, Ints

# Decay of the first moment and one minus it, of the second, eps, and both to the power of the steps taken.
_ADAMW = (BETA1, 1 - BETA1, BETA2, 1 - BETA2, EPS, 1.0, 1.0)
_SGD = (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """`UpdateReport` of each learner that trained, in the order of `Batches.order`; NaN where it is missing."""

    updates: Ints
    nonfinite: Ints
    train_loss_nats: Array
    grad_norm: Array
    grad_snr: Array
    grad_cos: Array
    update_ratio: Array

    def of(self, which: NDArray[np.bool_]) -> "Reports":
        """The reports of some of them."""
        return Reports(**{name: figures[which] for name, figures in vars(self).items()})


class BatchedQuadratic:
    """n quadratic learners of dimension up to d; arrays (n, d + 1) or (n,), zero beyond a learner's dimension.

    The last column stands beside the examples' floors: its curvature is zero, so that it never moves.
    SGD is AdamW whose first moment forgets at once and whose second stays 1, so one arithmetic serves both.
    """

    def __init__(self, n: int, dimension: int) -> None:
        shape = (n, dimension + 1)
        self.parameters, self.curvature = np.zeros(shape), np.zeros(shape)
        self._first, self._second = np.zeros(shape), np.zeros(shape)
        self._decay = np.zeros((n, 7, 1))
        self._last_move = np.zeros(shape)  # zero: none yet
        self._bulk_size, self._bulk_noise = np.zeros(n), np.zeros(n)
        self._last_bulk, self._sgd = np.zeros(n), np.zeros(n, dtype=bool)

    def reset(self, which: Ints, problems: list[QuadraticProblem]) -> None:
        """Put fresh learners of these problems into the places `which`."""
        for array in (self.parameters, self.curvature, self._first, self._second, self._last_move):
            array[which] = 0.0
        self._last_bulk[which] = 0.0
        for i, problem in zip(which, problems, strict=True):
            d, sgd = len(problem.start), problem.optimizer == "sgd"
            self.parameters[i, :d], self.curvature[i, :d] = problem.start, problem.curvature
            self._bulk_size[i], self._bulk_noise[i] = problem.bulk.size, problem.bulk.noise
            self._second[i], self._sgd[i] = float(sgd), sgd
            self._decay[i, :, 0] = _SGD if sgd else _ADAMW

    def losses(self, which: Ints | slice, examples: NDArray[np.float32]) -> Array:
        """Loss of each example, shape (k, count), for rows (k, count, d + 1) of the learners in `which`."""
        error = self.parameters[which][:, None] - examples
        error *= error
        losses: Array = np.matmul(error, 0.5 * self.curvature[which][:, :, None])[:, :, 0]
        losses += examples[:, :, -1]
        losses[~(losses < LOST)] = np.inf
        return losses

    def weights(self, examples: NDArray[np.float32]) -> Array:
        """2f + Σ_j h_j t_j² of rows (k, count, d + 1) of the first k learners, shape (k, count)."""
        squares = examples.astype(np.float64)
        squares *= squares
        weights: Array = np.matmul(squares, self.curvature[: len(examples), :, None])[:, :, 0]
        weights += 2.0 * examples[:, :, -1]
        return weights

    def update(self, batches: Batches, lr: Array) -> Reports:
        """Train on `batches` at rates `lr`, shape (n,), and tell what happened."""
        order = batches.order
        state = [self.parameters[order], self._first[order], self._second[order], self._decay[order]]
        h, rates = self.curvature[order], lr[order, None]
        start = state[0].copy()
        gradients: list[Array] = []  # of the first two steps
        total, updates = np.zeros(len(order)), np.zeros(len(order), dtype=np.int64)
        for first, m in zip(batches.starts, batches.active, strict=True):
            error = state[0][:m] - batches.mean[first : first + m]
            gradient = h[:m] * error
            loss = 0.5 * (np.einsum("nd,nd->n", gradient, error) + batches.spread[first : first + m])
            if len(gradients) < 2:
                gradients.append(gradient)
            taken = _taken(loss)
            _step_some(state, taken, gradient[taken], rates[:m][taken])
            total[taken] += loss[taken]
            updates[taken] += 1
        bulk = self._bulk_noise[order] * batches.mean[: len(order), -1] ** 2  # of an example's gradient
        last = self._last_move[order], self._last_bulk[order]
        self._last_move[order] = state[0] - start
        self._last_bulk[order] = self._moved(order, updates, rates[:, 0], bulk / batches.sizes)
        reports = self._report(batches, start, gradients, last, bulk, total / np.maximum(updates, 1), updates)
        self.parameters[order], self._first[order], self._second[order], self._decay[order] = state
        return reports

    def _moved(self, order: Ints, steps: Ints, lr: Array, gradient: Array) -> Array:
        """Squared norms of a round's moves in the bulk: `Bulk.moved`, vectorised."""
        adamw = self._bulk_size[order] * np.minimum(1.0, steps * ((1 - BETA1) / (1 + BETA1)))
        moved: Array = lr**2 * steps * np.where(self._sgd[order], gradient, adamw)
        return moved

    def _report(
        self,
        batches: Batches,
        start: Array,
        gradients: list[Array],
        last: tuple[Array, Array],
        bulk: Array,
        loss: Array,
        updates: Ints,
    ) -> Reports:
        """Figures as `QuadraticLearner.update` reports them; `last` are the moves of the round before.

        The first two steps of a round are always taken: a learner so far gone that they cannot be has ended
        its episode in an earlier round.
        """
        order, first, (last_move, last_bulk) = batches.order, gradients[0], last
        norm = _norms(first, bulk / batches.sizes)
        along = np.einsum("nd,nd->n", first, last_move)
        return Reports(
            updates=updates,
            nonfinite=batches.updates - updates,
            train_loss_nats=loss,
            grad_norm=norm,
            grad_snr=self._snr(batches, start, gradients, bulk),
            grad_cos=_quotient(-along, norm * _norms(last_move, last_bulk)),
            update_ratio=_quotient(_norms(self._last_move[order], self._last_bulk[order]), _norms(start)),
        )

    def _snr(self, batches: Batches, start: Array, gradients: list[Array], bulk: Array) -> Array:
        """From the halves of the first batch, or from the first two batches of one; NaN for a single example."""
        size = batches.sizes[:, None].astype(np.float64)
        size_a = np.maximum(size // 2, 1)
        size_b = np.maximum(size - size_a, 1)
        h = self.curvature[batches.order]
        a = h * (start - batches.half / size_a)
        b = h * (start - (batches.mean[: len(start)] * size - batches.half) / size_b)
        (single,) = np.nonzero(batches.sizes == 1)
        a[single] = gradients[0][single]
        b[single] = a[single]  # no noise to be seen, unless there is a second batch
        if len(gradients) > 1:
            second = single[single < len(gradients[1])]
            b[second] = gradients[1][second]
        difference = a - b
        noise = np.einsum("nd,nd->n", difference, difference) / (1 / size_a + 1 / size_b)[:, 0]
        noise += np.where(noise > 0, bulk, 0.0)
        return _quotient(np.einsum("nd,nd->n", a, b), noise)


def _taken(loss: Array) -> slice | Ints:
    """Which steps are taken: nearly always all of them, and then as a slice, so that nothing is copied."""
    fine = loss < LOST
    return slice(len(loss)) if fine.all() else np.flatnonzero(fine)


def _step_some(state: list[Array], taken: slice | Ints, gradient: Array, lr: Array) -> None:
    part = [array[taken] for array in state]
    _step(part, gradient, lr)
    if not isinstance(taken, slice):
        for array, changed in zip(state, part, strict=True):
            array[taken] = changed


def _step(state: list[Array], gradient: Array, lr: Array) -> None:
    """One step of AdamW without weight decay, in place; `lr` has shape (m, 1)."""
    parameters, first, second, decay = state
    b1, c1, b2, c2, eps, power1, power2 = decay.swapaxes(0, 1)
    power1 *= b1
    power2 *= b2
    first *= b1
    first += c1 * gradient
    gradient = gradient * gradient
    gradient *= c2
    second *= b2
    second += gradient
    scale = second / (1 - power2)
    np.sqrt(scale, out=scale)
    scale += eps
    np.divide(first, scale, out=scale)
    scale *= lr / (1 - power1)
    parameters -= scale


def _norms(vectors: Array, beside: Array | float = 0.0) -> Array:
    """Norms of rows, with what coordinates that are not simulated add to their squares."""
    norms: Array = np.sqrt(np.einsum("nd,nd->n", vectors, vectors) + beside)
    return norms


def _quotient(a: Array, b: Array) -> Array:
    """Quotients where b is positive, else NaN: not measured."""
    quotient: Array = np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
    return quotient
