"""What an observation is made of: the features made by hand, or a set selected from candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from olrl.control.decision import Base
from olrl.monitor.candidates import (
    CANDIDATES_VERSION,
    Candidate,
    Product,
    Selected,
    SelectedExtractor,
    Simple,
    parse_candidate,
)
from olrl.monitor.feature_spec import FEATURE_CLIP, FEATURE_NAMES, FEATURE_SPEC, check_spec, spec
from olrl.monitor.features import FeatureExtractor

Extractor = FeatureExtractor | SelectedExtractor
_MOST = 512  # features of a set; our own are sixty


class FeatureSet(ABC):
    """Features in their order, how they are written into a file, and who computes them."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # of each feature, what it is made of

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """As it stands in a policy file, JSON-able."""

    @abstractmethod
    def extractor(self, bases: Sequence[Base]) -> Any:
        """Who computes them for as many learners as there are bases: an `Extractor`."""


class HandMade(FeatureSet):
    """The features of `FEATURE_SPEC`."""

    names = FEATURE_NAMES
    groups = tuple(feature.group for feature in FEATURE_SPEC)

    def spec(self) -> dict[str, Any]:
        """Version, clip and all features."""
        return spec()

    def extractor(self, bases: Sequence[Base]) -> FeatureExtractor:
        """`FeatureExtractor`."""
        return FeatureExtractor.for_bases(bases)


HAND_MADE = HandMade()


class SelectedSet(FeatureSet):
    """Features that `olrl features` has chosen; `scales` are those of the factors of products.

    >>> feature = Selected(candidate=Simple("z", "loss", (10,)), centre=0.0, unit=1.0, scores={"stability": 1.0})
    >>> selected = SelectedSet([feature], {})
    >>> SelectedSet.from_spec(selected.spec()).names
    ('z(loss, 10)',)
    """

    def __init__(self, features: Sequence[Selected], scales: Mapping[Simple, tuple[float, float]]) -> None:
        if not 1 <= len(features) <= _MOST:
            raise ValueError(f"a feature set has 1 to {_MOST} features, not {len(features)}")
        self.features, self.scales = tuple(features), dict(scales)
        self.names = tuple(one.candidate.name for one in features)
        self.groups = tuple(one.candidate.group for one in features)
        if len(set(self.names)) < len(self.names):
            raise ValueError("a feature set holds a feature twice")
        for factor in factors_of([one.candidate for one in features]):
            if factor not in self.scales:
                raise ValueError(f"a feature set has the product of {factor.name}, but not its scale")

    def spec(self) -> dict[str, Any]:
        """Version, clip, features with their scores, and the scales of factors."""
        return {
            "kind": "selected",
            "version": CANDIDATES_VERSION,
            "clip": FEATURE_CLIP,
            "features": [
                {
                    "name": one.candidate.name,
                    "centre": one.centre,
                    "unit": one.unit,
                    "scores": dict(one.scores),
                }
                for one in self.features
            ],
            "factors": [
                {"name": factor.name, "centre": centre, "unit": unit}
                for factor, (centre, unit) in self.scales.items()
            ],
        }

    @classmethod
    def from_spec(cls, given: Any) -> SelectedSet:
        """From `spec()`; ValueError, naming the first mistake, for anything else."""
        keys = {"kind", "version", "clip", "features", "factors"}
        if not isinstance(given, dict) or set(given) != keys or given["kind"] != "selected":
            raise ValueError(f"a selected feature set is an object with {', '.join(sorted(keys))}")
        if given["version"] != CANDIDATES_VERSION or given["clip"] != FEATURE_CLIP:
            raise ValueError(
                f"selected features of version {given['version']!r} and clip {given['clip']!r}, and this olrl "
                f"computes version {CANDIDATES_VERSION} and clip {FEATURE_CLIP}"
            )
        features = [
            Selected(candidate=candidate, centre=centre, unit=unit, scores=_scores(row))
            for row, candidate, centre, unit in _entries(given["features"], {"scores"})
        ]
        scales: dict[Simple, tuple[float, float]] = {}
        for _, candidate, centre, unit in _entries(given["factors"], set()):
            if not isinstance(candidate, Simple):
                raise ValueError(f"the factor {candidate.name} is a product itself")
            Selected(candidate=candidate, centre=centre, unit=unit, scores={})  # checks them
            scales[candidate] = (centre, unit)
        return cls(features, scales)

    def extractor(self, bases: Sequence[Base]) -> SelectedExtractor:
        """`SelectedExtractor`."""
        return SelectedExtractor(self.features, self.scales, bases)


def feature_set_of(given: Any) -> FeatureSet:
    """The set that a spec is of; ValueError for what this olrl does not compute."""
    if isinstance(given, dict) and "kind" in given:
        return SelectedSet.from_spec(given)
    check_spec(given)
    return HAND_MADE


def factors_of(candidates: Sequence[Candidate]) -> list[Simple]:
    """The factors of the products among candidates, each once."""
    products = [one for one in candidates if isinstance(one, Product)]
    return list(dict.fromkeys(factor for one in products for factor in (one.one, one.other)))


def _entries(given: Any, more: set[str]) -> list[tuple[dict[str, Any], Candidate, float, float]]:
    if not isinstance(given, list) or len(given) > 2 * _MOST:
        raise ValueError(f"features and factors of a set are lists of at most {2 * _MOST}")
    keys = {"name", "centre", "unit"} | more
    entries = []
    for row in given:
        if not isinstance(row, dict) or set(row) != keys:
            raise ValueError(f"a feature of a set is an object with {', '.join(sorted(keys))}")
        numbers = [row["centre"], row["unit"]]
        if not isinstance(row["name"], str) or not all(type(number) in (int, float) for number in numbers):
            raise ValueError("a feature of a set has a name that is text, and numbers for centre and unit")
        entries.append((row, parse_candidate(row["name"]), float(row["centre"]), float(row["unit"])))
    return entries


def _scores(row: dict[str, Any]) -> dict[str, float]:
    scores = row["scores"]
    if not isinstance(scores, dict) or not all(type(value) in (int, float) for value in scores.values()):
        raise ValueError(f"the scores of feature {row['name']} must be numbers by name")
    return {str(name): float(value) for name, value in scores.items()}
