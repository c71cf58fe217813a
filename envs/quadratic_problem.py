"""The surrogate task: which quadratic is followed, how it drifts, and what control starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import BATCH_SIZES, WINDOWS, Base
from olrl.learners.cost import CostModel

from .drift_path import DriftPath, DriftRandomisation, Range, check_ranges, draw_path, log_uniform
from .masks import draw_masks
from .sensible_rate import sensible_lr

CHUNK = 16  # targets in a chunk
RESERVOIR = 1024  # targets in the reservoir
PROBES = 4  # targets of the oldest chunk scored beside each new one
DETECTORS = ("adwin", "page-hinkley")  # KSWIN costs more than all the rest of a round here
BUDGET = 64.0  # cost units a round
REFERENCE_BATCH = REFERENCE_WINDOW = 8
UNMEASURED = frozenset({"loss_bpb", "metric", "hist_shift", "hist_shift_last", "uncertainty"})


@dataclass(frozen=True, kw_only=True)
class QuadraticRandomisation:
    """What a surrogate task may be like; pairs are ranges, drawn from log-uniformly.

    Attributes:
        dimension: number of parameters d.
        condition: largest over smallest curvature, the curvatures lying evenly between them in logarithm.
        curvature: largest curvature.
        noise: variance of a target in whitened coordinates, summed over them; a chunk's loss has ½ of it.
        floor: the loss that no learning takes away, in units of ½·noise + ½·jump²: at 10, relative changes of
            the loss are ten times smaller than the quadratic's own, as they are in a language model.
        start: root mean square distance of the start from the first optimum, whitened.
        weight_norm: norm of the first optimum, in units of a jump's.
        adamw: probability of AdamW instead of SGD.
        update_cost: bounds of the (uniform) cost units of an update beside its examples.
        price: loss that a whole budget is worth, relative to the running loss, in the `priced` episodes; else
            0.
        lr_octaves: the base rate is wrong by a factor 2**U(−lr_octaves, lr_octaves); for SGD at most 1.5 over
            the largest curvature, since from 2 on it diverges within a round, which nobody's base does.
        masked: probability of each group of signals to be missing throughout the episode.
        drift: how the optimum moves.
    """

    dimension: tuple[int, int] = (4, 32)
    condition: Range = (3.0, 1000.0)
    curvature: Range = (0.1, 10.0)
    noise: Range = (0.1, 10.0)
    floor: Range = (0.1, 10.0)
    start: Range = (0.1, 5.0)
    weight_norm: Range = (3.0, 100.0)
    adamw: float = 0.75
    update_cost: Range = (0.0, 16.0)
    price: Range = (0.003, 0.3)
    priced: float = 0.5
    lr_octaves: float = 3.5
    masked: float = 0.05
    drift: DriftRandomisation = field(default_factory=DriftRandomisation)

    def __post_init__(self) -> None:
        low, high = self.update_cost
        if not 0 <= low <= high < np.inf:
            raise ValueError(f"update_cost must be a pair 0 <= low <= high, not {self.update_cost!r}")
        if not 0 <= self.lr_octaves <= 10:
            raise ValueError(f"lr_octaves must be from 0 to 10, not {self.lr_octaves!r}")
        if self.dimension[0] < 2:
            raise ValueError(f"dimension must be at least 2, not {self.dimension[0]!r}")
        if self.condition[0] < 1:
            raise ValueError(f"condition must be at least 1, not {self.condition[0]!r}")
        check_ranges(self, beside=("update_cost", "lr_octaves", "drift"))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "QuadraticRandomisation":
        """From a plain (JSON-able) mapping of the fields to change; ValueError for an unknown name.

        >>> QuadraticRandomisation.from_dict({"masked": 0.0, "drift": {"jump": [1.0, 2.0]}}).drift.jump
        (1.0, 2.0)
        """
        settings = _tuples(given)
        try:
            settings["drift"] = DriftRandomisation(**_tuples(given.get("drift", {})))
            return cls(**settings)
        except TypeError as error:  # Python names the unknown field
            raise ValueError(f"randomisation: {error}") from None


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


@dataclass(frozen=True, kw_only=True)
class QuadraticProblem:
    """One task over T chunks in d dimensions.

    `curvature` and `start` have shape (d,); `optima` (T, d), in the learner's coordinates; `noise_std` (T,),
    of a target in each whitened coordinate. `seed` starts the noise and the draws from memory. `path` is the
    drift in whitened coordinates.
    """

    curvature: NDArray[np.float64]
    start: NDArray[np.float64]
    optima: NDArray[np.float64]
    noise_std: NDArray[np.float64]
    floor: float
    optimizer: str
    base: Base
    reference: Base
    cost: CostModel
    price: float
    masked: frozenset[str]
    seed: int
    path: DriftPath

    def targets(self, rng: np.random.Generator, chunk: int) -> NDArray[np.float32]:
        """The targets of a chunk, shape (CHUNK, d); `rng` is `noise_generator()`, chunks come in order."""
        noise = rng.standard_normal((CHUNK, len(self.curvature)))
        noise *= self.noise_std[chunk] / np.sqrt(self.curvature)
        noise += self.optima[chunk]
        return noise.astype(np.float32)

    def noise_generator(self) -> np.random.Generator:
        """A fresh generator of the targets' noise."""
        return np.random.default_rng(self.seed)


def draw_problem(seed: int, ranges: QuadraticRandomisation, *, rounds: int) -> QuadraticProblem:
    """The task named by `seed`: `rounds` decisions, so `rounds + 1` chunks."""
    rng = np.random.default_rng(seed)
    d = round(log_uniform(rng, ranges.dimension))
    curvature = log_uniform(rng, ranges.curvature) * np.geomspace(
        1.0, 1.0 / log_uniform(rng, ranges.condition), d
    )
    direction = curvature ** rng.uniform(0.0, 0.5)  # moves alike in whitened coordinates (0), or in θ (½)
    direction /= np.linalg.norm(direction)
    path = draw_path(rng, ranges.drift, rounds=rounds + 1, direction=direction)
    start = path.optima[0] + log_uniform(rng, ranges.start) * direction * rng.standard_normal(d)
    noise = log_uniform(rng, ranges.noise)
    noise_std = np.sqrt(noise * path.noise_factor / d)
    optimizer = "adamw" if rng.random() < ranges.adamw else "sgd"
    cost = CostModel(update_cost=float(rng.uniform(*ranges.update_cost)), budget=BUDGET)
    lr = sensible_lr(
        curvature=curvature,
        start=start,
        optima=path.optima,
        noise_std=noise_std,
        optimizer=optimizer,
        updates=cost.updates(REFERENCE_BATCH),
        batch_size=REFERENCE_BATCH,
        window=REFERENCE_WINDOW,
    )
    scale = np.sqrt(curvature)
    base_lr = lr * 2 ** rng.uniform(-ranges.lr_octaves, ranges.lr_octaves)
    jump = path.jump * np.linalg.norm(direction / scale)  # what a jump is in the learner's coordinates
    offset = rng.standard_normal(d) * direction / scale
    offset *= log_uniform(rng, ranges.weight_norm) * jump / np.linalg.norm(offset)
    return QuadraticProblem(
        curvature=curvature,
        start=start / scale + offset,
        optima=path.optima / scale + offset,
        noise_std=noise_std,
        floor=log_uniform(rng, ranges.floor) * 0.5 * (noise + path.jump**2),
        optimizer=optimizer,
        base=Base(
            lr=min(base_lr, 1.5 / curvature[0]) if optimizer == "sgd" else base_lr,
            batch_size=int(rng.choice(BATCH_SIZES)),
            window=int(rng.choice(WINDOWS)),
        ),
        reference=Base(lr=lr, batch_size=REFERENCE_BATCH, window=REFERENCE_WINDOW),
        cost=cost,
        price=log_uniform(rng, ranges.price) * (rng.random() < ranges.priced),
        masked=UNMEASURED | draw_masks(rng, ranges.masked),
        seed=int(rng.integers(2**63)),
        path=path,
    )


def kalman_excess(problem: QuadraticProblem) -> NDArray[np.float64]:
    """Expected excess loss of the best tracker on each chunk, shape (T,), nats.

    A Kalman filter for each whitened coordinate, told when the optimum moves and how far it may, takes in a
    whole chunk a round; its error before a chunk is p with p' = p·r / (p + r) + q, where r is the variance of
    the chunk's mean and q that of the next move. Nothing causal does better on moves to new places.
    """
    moves = problem.path.move_variance
    chunk_variance = problem.noise_std**2 / CHUNK
    p = (problem.start - problem.optima[0]) ** 2 * problem.curvature
    excess = np.empty(len(moves))
    for t in range(len(moves)):
        if t:
            p = p * chunk_variance[t - 1] / (p + chunk_variance[t - 1]) + moves[t]
        excess[t] = 0.5 * p.sum()
    return excess
