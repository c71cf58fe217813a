"""A learner whose loss is a quadratic: small enough to follow by hand, and its optimum is known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import Decision
from olrl.learners.learner import Examples, Learner, UpdateReport

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # AdamW's usual settings (Loshchilov and Hutter, 2019)
LOST = 1e100  # a loss above this counts as infinite: far beyond use, and its squares still fit a double

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """Coordinates of a model that see noise alone.

    `size` is their number; `noise` the variance of one example's gradient, summed over them, where the
    example's floor is 1: it grows with the square of the floor, hard texts having long gradients.
    """

    size: float
    noise: float

    def moved(self, *, steps: int, lr: float, gradient: float, optimizer: str) -> float:
        """Squared norm of a round's move, in expectation; `gradient` is that of a batch's mean gradient.

        AdamW's steps average about the last 19 gradients over their root mean square: as long as they are few,
        they all go the same way.
        """
        if optimizer == "sgd":
            return lr**2 * steps * gradient
        return lr**2 * self.size * steps * min(1.0, steps * (1 - BETA1) / (1 + BETA1))


class QuadraticLearner(Learner):
    """Parameters θ in R^d that follow noisy targets t, by SGD or AdamW in double precision.

        loss(θ, (t, f)) = f + ½ Σ_j h_j (θ_j − t_j)²

    Examples are rows of a target and a floor f, shape (n, d + 1): the part of an example's loss that no
    learning takes away, which differs from text to text. `curvature` is h, all positive, shape (d,).

    Most of a large model's coordinates see little but noise. `bulk` stands for them: they change no loss, but
    they lengthen gradients and moves, and so dilute what a report says of either. They are not simulated,
    since in so many dimensions their norms are what is expected of them.

    >>> curvature = np.array([1.0, 4.0])
    >>> learner = QuadraticLearner(start=np.zeros(2), curvature=curvature, optimizer="sgd")
    >>> example = np.array([[1.0, 1.0, 0.5]])
    >>> learner.score(example).tolist()
    [3.0]
    >>> report = learner.update(iter([example]), Decision(lr=0.25, batch_size=1, window=1))
    >>> learner.score(example).tolist(), report.updates
    ([0.78125], 1)
    """

    def __init__(
        self, *, start: Vector, curvature: Vector, optimizer: str = "adamw", bulk: Bulk | None = None
    ) -> None:
        if start.ndim != 1 or start.shape != curvature.shape:
            raise ValueError(f"start and curvature share a shape (d,), not {start.shape}, {curvature.shape}")
        if not (curvature > 0).all():
            raise ValueError(
                f"curvature must be positive everywhere, its smallest entry is {curvature.min()}"
            )
        if optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be adamw or sgd, not {optimizer!r}")
        self.parameters = start.astype(np.float64)
        self.curvature = curvature.astype(np.float64)
        self.optimizer = optimizer
        self.bulk = bulk or Bulk(size=0.0, noise=0.0)
        self._first, self._second, self._steps = np.zeros_like(start), np.zeros_like(start), 0
        self._last_move: Vector | None = None
        self._last_bulk = 0.0  # squared norm of the last move in the bulk

    def score(self, examples: Examples) -> NDArray[np.float64]:
        """Loss of each example, shape (n,), nats; infinite above 1e100."""
        error = self.parameters - examples[:, :-1]
        losses = examples[:, -1] + 0.5 * (error**2 * self.curvature).sum(axis=1)
        return np.where(losses < LOST, losses, np.inf)

    def update(self, batches: Iterator[Examples], decision: Decision) -> UpdateReport:
        """One step per batch at the decision's rate; a step that is not finite is not taken."""
        start = self.parameters.copy()
        losses: list[float] = []
        examples = nonfinite = 0
        grad_norm = grad_cos = grad_snr = None
        for batch in batches:
            examples += len(batch)
            loss, gradient = float(self.score(batch).mean()), self._gradient(batch)
            bulk = self.bulk.noise * float(batch[:, -1].mean(dtype=np.float64)) ** 2
            norm = math.sqrt(float(gradient @ gradient) + bulk / len(batch))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                nonfinite += 1
                continue
            if not losses:
                first, grad_norm, grad_cos = gradient, norm, self._cosine(gradient, norm)
                first_bulk, first_size = bulk, len(batch)
                grad_snr = self._snr_of_halves(batch, bulk) if len(batch) > 1 else None
            elif len(losses) == 1 and len(batch) == 1:
                grad_snr = _snr(first, gradient, 1, 1, bulk=first_bulk)
            losses.append(loss)
            self._step(gradient, decision)
        if losses:
            self._last_move = self.parameters - start
            self._last_bulk = self.bulk.moved(
                steps=len(losses), lr=decision.lr, gradient=first_bulk / first_size, optimizer=self.optimizer
            )
        return UpdateReport(
            updates=len(losses),
            examples=examples,
            train_loss_nats=float(np.mean(losses)) if losses else None,
            grad_norm=grad_norm,
            grad_snr=grad_snr,
            grad_cos=grad_cos,
            update_ratio=self._ratio(start) if losses else None,
            nonfinite=nonfinite,
        )

    def _gradient(self, batch: Examples) -> Vector:
        """Gradient of the batch's mean loss, shape (d,)."""
        gradient: Vector = self.curvature * (self.parameters - batch[:, :-1].mean(axis=0, dtype=np.float64))
        return gradient

    def _step(self, gradient: Vector, decision: Decision) -> None:
        if decision.pull:
            raise ValueError("the surrogate has no pull towards initial weights: use a language model")
        self.parameters = self.parameters * (1.0 - decision.lr * decision.weight_decay)
        self._steps += 1
        if self.optimizer == "sgd":
            self.parameters = self.parameters - decision.lr * gradient
            return
        self._first = BETA1 * self._first + (1 - BETA1) * gradient
        self._second = BETA2 * self._second + (1 - BETA2) * gradient**2
        mean = self._first / (1 - BETA1**self._steps)
        scale = np.sqrt(self._second / (1 - BETA2**self._steps)) + EPS
        self.parameters = self.parameters - decision.lr * mean / scale

    def _cosine(self, gradient: Vector, norm: float) -> float | None:
        """Cosine of minus the gradient at hand with the whole move of the last round that moved."""
        if self._last_move is None:
            return None
        length = self._last_length() * norm
        return -float(gradient @ self._last_move) / length if length > 0 else None

    def _last_length(self) -> float:
        assert self._last_move is not None
        return math.sqrt(float(self._last_move @ self._last_move) + self._last_bulk)

    def _snr_of_halves(self, batch: Examples, bulk: float) -> float | None:
        middle = len(batch) // 2
        a, b = self._gradient(batch[:middle]), self._gradient(batch[middle:])
        return _snr(a, b, middle, len(batch) - middle, bulk=bulk)

    def _ratio(self, start: Vector) -> float | None:
        norm = float(np.sqrt((start**2).sum()))
        return self._last_length() / norm if norm > 0 else None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Parameters, optimizer moments and the last move."""
        state = {
            "parameters": self.parameters.copy(),
            "first": self._first.copy(),
            "second": self._second.copy(),
            "steps": np.asarray(self._steps),
        }
        if self._last_move is not None:
            state["last_move"] = self._last_move.copy()
            state["last_bulk"] = np.asarray(self._last_bulk)
        return state

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from `state_dict()` of a learner of the same dimension (ValueError otherwise)."""
        if state["parameters"].shape != self.parameters.shape:
            raise ValueError(
                f"the state has shape {state['parameters'].shape}, this learner {self.parameters.shape}"
            )
        self.parameters = state["parameters"].copy()
        self._first, self._second = state["first"].copy(), state["second"].copy()
        self._steps = int(state["steps"])
        last = state.get("last_move")
        self._last_move = None if last is None else last.copy()
        self._last_bulk = float(state.get("last_bulk", 0.0))


def _snr(a: Vector, b: Vector, n_a: int, n_b: int, *, bulk: float) -> float | None:
    """Squared norm of the mean gradient over the variance of one example's, both without bias.

    `a` and `b` are mean gradients of n_a and n_b independent examples: E[a·b] = |g|² and
    E|a − b|² = s² (1/n_a + 1/n_b); the simple noise scale of McCandlish et al. (2018) is 1 over this. `bulk`
    is what the bulk adds to s².
    """
    noise = float(((a - b) ** 2).sum()) / (1 / n_a + 1 / n_b)
    return float(a @ b) / (noise + bulk) if noise > 0 else None  # 0: the same examples drawn twice
