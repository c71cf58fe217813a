"""The surrogate task: which quadratic is followed, how it drifts, and what control starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.decision import BATCH_SIZES, WINDOWS, Base
from olrl.draws import uniforms
from olrl.learners.cost import CostModel
from olrl.learners.quadratic import Bulk

from .documents import DocumentRandomisation, Documents, draw_documents
from .drift_path import DriftPath, DriftRandomisation, Range, check_ranges, draw_path, log_uniform
from .masks import draw_masks
from .normal_rows import MAX_WIDTH, places_of, rows_at
from .sensible_rate import sensible_base

Array = NDArray[np.float64]

CHUNK = 16  # examples in a chunk
RESERVOIR = 1024  # examples in the reservoir
NOISE_STREAM = 2  # keys of the noise, apart from those of draws from memory
PROBES = 4  # examples of the oldest chunk scored beside each new one
DETECTORS = ("page-hinkley", "page-hinkley-rise")  # simple recursions; the log says what the others would add
BUDGET = 64.0  # cost units a round
UNMEASURED = frozenset({"loss_bpb", "metric", "hist_shift", "hist_shift_last", "uncertainty"})


@dataclass(frozen=True, kw_only=True)
class QuadraticRandomisation:
    """What a surrogate task may be like; pairs are ranges, drawn from log-uniformly.

    Attributes:
        dimension: number of parameters d.
        condition: largest over smallest curvature, the curvatures lying evenly between them in logarithm.
        curvature: largest curvature.
        noise: variance of a target in whitened coordinates, summed over them, in units of jump²; a chunk's loss
            has ½ of it.
        floor: the loss that no learning takes away on average, in units of ½·noise + ½·jump²: at 10, relative
            changes of the loss are ten times smaller than the quadratic's own, as they are in a language model.
        start: root mean square distance of the start from the first optimum, in units of a jump.
        bulk: variance of the gradient in coordinates that see noise alone, in units of the others'.
        update_ratio: norm of a round's move over that of the weights, expected under the reference.
        adamw: probability of AdamW instead of SGD.
        update_cost: bounds of the (uniform) cost units of an update beside its examples.
        price: loss that a whole budget is worth, relative to the running loss, in the `priced` episodes; else
            0.
        lr_octaves: the base rate is wrong by a factor 2**U(−lr_octaves, lr_octaves); for SGD at most 1.5 over
            the largest curvature, since from 2 on it diverges within a round, which nobody's base does.
        masked: probability of each group of signals to be missing throughout the episode.
        documents: what texts are like.
        drift: how the optimum moves.
    """

    dimension: tuple[int, int] = (8, 40)
    condition: Range = (3.0, 1000.0)
    curvature: Range = (0.1, 10.0)
    noise: Range = (0.1, 5.0)
    floor: Range = (0.1, 3.0)
    start: Range = (0.1, 1.0)
    bulk: Range = (0.8, 30.0)
    update_ratio: Range = (0.0015, 0.014)
    adamw: float = 0.85
    update_cost: Range = (0.0, 16.0)
    price: Range = (0.003, 0.3)
    priced: float = 0.5
    lr_octaves: float = 3.5
    masked: float = 0.05
    documents: DocumentRandomisation = field(default_factory=DocumentRandomisation)
    drift: DriftRandomisation = field(default_factory=DriftRandomisation)

    def __post_init__(self) -> None:
        low, high = self.update_cost
        if not 0 <= low <= high < np.inf:
            raise ValueError(f"update_cost must be a pair 0 <= low <= high, not {self.update_cost!r}")
        if not 0 <= self.lr_octaves <= 10:
            raise ValueError(f"lr_octaves must be from 0 to 10, not {self.lr_octaves!r}")
        if self.dimension[0] < 2 or self.dimension[1] >= MAX_WIDTH:
            raise ValueError(f"dimension must be from 2 to {MAX_WIDTH - 1}, not {self.dimension!r}")
        if self.condition[0] < 1:
            raise ValueError(f"condition must be at least 1, not {self.condition[0]!r}")
        check_ranges(self, beside=("update_cost", "lr_octaves", "documents", "drift"))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "QuadraticRandomisation":
        """From a plain (JSON-able) mapping of the fields to change; ValueError for an unknown name.

        >>> QuadraticRandomisation.from_dict({"masked": 0.0, "drift": {"jump": [1.0, 2.0]}}).drift.jump
        (1.0, 2.0)
        """
        settings = _tuples(given)
        try:
            settings["documents"] = DocumentRandomisation(**_tuples(given.get("documents", {})))
            settings["drift"] = DriftRandomisation(**_tuples(given.get("drift", {})))
            return cls(**settings)
        except TypeError as error:  # Python names the unknown field
            raise ValueError(f"randomisation: {error}") from None


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


@dataclass(frozen=True, kw_only=True)
class QuadraticProblem:
    """One task over T chunks in d dimensions.

    `curvature` and `start` have shape (d,); `optima` (T, d), of the domains, and `documents.offset` are in the
    learner's coordinates; `noise_std` (T,), of a target in each whitened coordinate. `floor` is the mean loss
    that no learning takes away. `seed` starts the noise and the draws from memory. `path` is the drift in
    whitened coordinates, and `documents.variance` is in these.
    """

    curvature: Array
    start: Array
    optima: Array
    noise_std: Array
    floor: float
    documents: Documents
    optimizer: str
    bulk: Bulk
    base: Base
    reference: Base
    cost: CostModel
    price: float
    masked: frozenset[str]
    seed: int
    path: DriftPath

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return len(self.start)

    def examples(self, t: int) -> NDArray[np.float32]:
        """Targets and, last, floors of chunk t, shape (CHUNK, d + 1)."""
        documents, number = self.documents, self.documents.number[t]
        luck = uniforms(self.seed, NOISE_STREAM << 62 | t, np.arange(CHUNK))
        noise = rows_at(places_of(luck), self.dimension + 1)
        targets = noise[:, :-1] * (self.noise_std[t] / np.sqrt(self.curvature))
        targets += self.optima[t] + documents.offset[number]
        log_floors = noise[:, -1] * documents.spread[number] + documents.log_floor[number]
        floors = self.floor * np.exp(log_floors + self.path.log_floor[t])
        return np.concatenate([targets, floors[:, None]], axis=1).astype(np.float32)

    def optimum(self, t: int) -> Array:
        """Where the loss on chunk t is lowest, expected over the noise, shape (d,)."""
        optimum: Array = self.optima[t] + self.documents.offset[self.documents.number[t]].mean(axis=0)
        return optimum

    def irreducible(self, t: int) -> float:
        """Expected loss on chunk t of a learner at its optimum: floors, noise, and documents that differ."""
        number = self.documents.number[t]
        log_floor = self.documents.log_floor[number] + 0.5 * self.documents.spread[number] ** 2
        floor = self.floor * np.exp(self.path.log_floor[t] + log_floor).mean()
        noise = self.dimension * self.noise_std[t] ** 2
        between = (self.documents.offset[number].var(axis=0) * self.curvature).sum()
        return float(floor + 0.5 * (noise + between))


def draw_problem(seed: int, ranges: QuadraticRandomisation, *, rounds: int) -> QuadraticProblem:
    """The task named by `seed`: `rounds` decisions, so `rounds + 1` chunks."""
    rng = np.random.default_rng(seed)
    d = round(log_uniform(rng, ranges.dimension))
    largest, condition = log_uniform(rng, ranges.curvature), log_uniform(rng, ranges.condition)
    curvature = largest * condition ** -(np.arange(d) / (d - 1))
    direction = curvature ** rng.uniform(0.0, 0.5)  # moves alike in whitened coordinates (0), or in θ (½)
    direction /= np.linalg.norm(direction)
    path = draw_path(rng, ranges.drift, rounds=rounds + 1, direction=direction)
    documents = draw_documents(
        rng, ranges.documents, rounds=rounds + 1, chunk=CHUNK, jump=path.jump, direction=direction
    )
    start = path.optima[0] + log_uniform(rng, ranges.start) * path.jump * direction * rng.standard_normal(d)
    noise = log_uniform(rng, ranges.noise) * path.jump**2
    noise_std = np.sqrt(noise * path.noise_factor / d)
    optimizer = "adamw" if rng.random() < ranges.adamw else "sgd"
    cost = CostModel(update_cost=float(rng.uniform(*ranges.update_cost)), budget=BUDGET)
    reference = sensible_base(
        curvature=curvature,
        start=start,
        optima=path.optima,
        noise_std=noise_std,
        documents=documents,
        optimizer=optimizer,
        cost=cost,
    )
    scale = np.sqrt(curvature)
    base_lr = reference.lr * 2 ** rng.uniform(-ranges.lr_octaves, ranges.lr_octaves)
    offset = rng.standard_normal(d) * direction / scale
    floor = log_uniform(rng, ranges.floor) * 0.5 * (noise + path.jump**2)
    gradient = float((curvature * (noise / d + documents.variance)).sum())  # variance of an example's
    share = log_uniform(rng, ranges.bulk)
    moved = Bulk(size=(1 + share) * d, noise=0.0).moved(
        steps=cost.updates(reference.batch_size),
        lr=reference.lr,
        gradient=(1 + share) * gradient / reference.batch_size,
        optimizer=optimizer,
    )
    offset *= np.sqrt(moved) / (log_uniform(rng, ranges.update_ratio) * np.linalg.norm(offset))
    return QuadraticProblem(
        curvature=curvature,
        start=start / scale + offset,
        optima=path.optima / scale + offset,
        noise_std=noise_std,
        floor=floor,
        documents=replace(documents, size=documents.size / scale),
        optimizer=optimizer,
        bulk=Bulk(size=share * d, noise=share * gradient / floor**2),
        base=Base(
            lr=min(base_lr, 1.5 / curvature[0]) if optimizer == "sgd" else base_lr,
            batch_size=BATCH_SIZES[rng.integers(len(BATCH_SIZES))],
            window=WINDOWS[rng.integers(len(WINDOWS))],
        ),
        reference=reference,
        cost=cost,
        price=log_uniform(rng, ranges.price) * (rng.random() < ranges.priced),
        masked=UNMEASURED | draw_masks(rng, ranges.masked),
        seed=int(rng.integers(2**63)),
        path=path,
    )
