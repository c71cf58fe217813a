"""Selecting features: screened, combined, scored on redrawn streams, and none that says what another says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from olrl.monitor.candidates import (
    Candidate,
    Product,
    Selected,
    Simple,
    product_of,
    scaled,
    simple_candidates,
)
from olrl.monitor.feature_set import SelectedSet, factors_of

from .recorded import Decisions, Recorded, draw_decisions
from .scores import MEASURES, scores_of

Floats = NDArray[np.float64]
SHORTLIST = 60  # simple candidates that are looked at closely
FACTORS = 10  # of them are multiplied with each other
ALIKE = 0.95  # correlation at which two candidates say the same


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """How features are selected; what each is, `olrl features --help` says.

    >>> SelectConfig(count=0)
    Traceback (most recent call last):
    ...
    ValueError: count must be from 1 to 512, not 0
    """

    count: int = 24
    bootstraps: int = 8
    decisions: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        bounds = {"count": (1, 512), "bootstraps": (1, 1000), "decisions": (200, 10**6), "seed": (0, 2**31)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Candidates with their scales, and their values as features, shape (N, candidates): finite, within ±5."""

    candidates: tuple[Candidate, ...]
    scales: tuple[tuple[float, float], ...]
    features: Floats

    def only(self, places: Sequence[int]) -> "Pool":
        """Some of them, in this order."""
        return Pool(
            candidates=tuple(self.candidates[k] for k in places),
            scales=tuple(self.scales[k] for k in places),
            features=self.features[:, list(places)],
        )

    def __add__(self, others: "Pool") -> "Pool":
        """These, and behind them others."""
        return Pool(
            candidates=self.candidates + others.candidates,
            scales=self.scales + others.scales,
            features=np.concatenate([self.features, others.features], axis=1),
        )


def select_features(
    recorded: Sequence[Recorded],
    config: SelectConfig,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> SelectedSet:
    """The features that tell most, of candidates from the raw signals of recorded runs.

    All simple candidates are screened by mutual information and the L1 fit; the best are multiplied with each
    other; those and the products are scored by all measures on streams redrawn with replacement, `bootstraps`
    times. `stability` is the share of these times in which a candidate is among the best `count`; candidates are
    taken by it, and by their mean score among equals, unless they correlate with one taken before. `progress`
    counts the times.
    """
    simple = simple_candidates()
    decisions = draw_decisions(recorded, simple, count=config.decisions, seed=config.seed)
    pool = pool_of(simple, decisions.values)
    screened = scores_of(pool.features, decisions.targets, seed=config.seed, permutation=False)
    best = np.argsort(-np.sum(list(screened.values()), axis=0), kind="stable")[:SHORTLIST].tolist()
    pool = pool.only(best)
    pool = pool + products_of(pool.only(range(min(FACTORS, len(best)))))
    return _selected(pool, decisions, config, progress)


def pool_of(candidates: Sequence[Candidate], values: Floats) -> Pool:
    """Candidates in units of half of what lies between the tenths; those that never move are left out."""
    kept, scales, columns = [], [], []
    for candidate, column in zip(candidates, values.T, strict=True):
        scale = _scale(column[np.isfinite(column)])
        if scale is not None:
            kept.append(candidate)
            scales.append(scale)
            columns.append(np.nan_to_num(scaled(column, *scale), nan=0.0))
    if not kept:
        raise ValueError("the recorded runs say nothing: none of their signals ever moves")
    return Pool(candidates=tuple(kept), scales=tuple(scales), features=np.stack(columns, axis=1))


def _scale(known: Floats) -> tuple[float, float] | None:
    """Centre and unit, to six digits; the standard deviation where most values are the same, as of alarms."""
    if len(known) < 2:
        return None
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    unit = (high - low) / 2 if high - low > 1e-5 else known.std()
    if not 1e-5 < unit < 1e5 or not abs(middle) < 1e5:
        return None
    return float(f"{middle:.6g}"), float(f"{unit:.6g}")


def products_of(pool: Pool) -> Pool:
    """The products of all pairs of simple candidates in a pool."""
    pairs = list(combinations(range(len(pool.candidates)), 2))
    candidates: list[Candidate] = []
    columns = []
    for one, other in pairs:
        first, second = pool.candidates[one], pool.candidates[other]
        assert isinstance(first, Simple), "only simple candidates are multiplied"
        assert isinstance(second, Simple), "only simple candidates are multiplied"
        candidates.append(Product(first, second))
        columns.append(product_of(pool.features[:, one], pool.features[:, other]))
    if not candidates:
        return Pool(candidates=(), scales=(), features=np.empty((len(pool.features), 0)))
    return pool_of(candidates, np.stack(columns, axis=1))


def _selected(
    pool: Pool, decisions: Decisions, config: SelectConfig, progress: Callable[[int], None]
) -> SelectedSet:
    shares = {name: np.zeros(len(pool.candidates)) for name in MEASURES}
    often = np.zeros(len(pool.candidates))
    for k in range(config.bootstraps):
        rows = redrawn(decisions.streams, np.random.default_rng([config.seed, k]))
        found = scores_of(pool.features[rows], decisions.targets[rows], seed=config.seed + k)
        for name, values in found.items():
            shares[name] += values / config.bootstraps
        together = np.sum(list(found.values()), axis=0)
        often[np.argsort(-together, kind="stable")[: config.count]] += 1 / config.bootstraps
        progress(k + 1)
    score = np.mean(list(shares.values()), axis=0)
    order = sorted(range(len(pool.candidates)), key=lambda k: (-often[k], -score[k], k))
    taken = without_twins(pool.features, order, count=config.count)
    features = [
        Selected(
            candidate=pool.candidates[k],
            centre=pool.scales[k][0],
            unit=pool.scales[k][1],
            scores={
                "stability": round(float(often[k]), 4),
                **{name: round(float(values[k]), 5) for name, values in shares.items()},
            },
        )
        for k in taken
    ]
    scale_of = dict(zip(pool.candidates, pool.scales, strict=True))
    factors = factors_of([pool.candidates[k] for k in taken])
    return SelectedSet(features, {factor: scale_of[factor] for factor in factors})


def redrawn(streams: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of as many streams, drawn with replacement: decisions of one stream hang together.

    >>> rows = redrawn(np.array([0, 0, 1, 1]), np.random.default_rng(0))
    >>> len(rows), {tuple(pair) for pair in rows.reshape(2, 2).tolist()} <= {(0, 1), (2, 3)}
    (4, True)
    """
    names = np.unique(streams)
    drawn = rng.choice(names, size=len(names))
    return np.concatenate([np.flatnonzero(streams == name) for name in drawn])


def without_twins(features: Floats, order: Sequence[int], *, count: int) -> list[int]:
    """The first `count` columns in this order of which none correlates with one before it.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> without_twins(np.column_stack([x[:, 0], -2 * x[:, 0], x[:, 1]]), [0, 1, 2], count=3)
    [0, 2]
    """
    spread = features.std(axis=0)
    z = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    taken: list[int] = []
    for k in order:
        if len(taken) == count:
            break
        alike = np.abs(z[:, taken].T @ z[:, k]) / len(z)
        if spread[k] > 0 and not (alike > ALIKE).any():
            taken.append(k)
    return taken
