"""Selected feature sets, for tests."""

from collections.abc import Sequence

from olrl.monitor.candidates import Selected, parse_candidate, simple_candidates
from olrl.monitor.feature_set import SelectedSet, factors_of

NAMES = (
    "now(lr)",
    "lag(grad_cos, 3)",
    "change(loss, 10)",
    "mean(hist_shift, 3)",
    "ratio(loss, 3, 10)",
    "z(grad_norm, 10)",
    "z(loss, 10) * now(alarm)",
)


def selected_set(names: Sequence[str] = NAMES, *, centre: float = 0.25, unit: float = 0.5) -> SelectedSet:
    """Features of these names, all on one scale."""
    candidates = [parse_candidate(name) for name in names]
    features = [Selected(candidate=one, centre=centre, unit=unit, scores={"l1": 0.1}) for one in candidates]
    return SelectedSet(features, dict.fromkeys(factors_of(candidates), (centre, unit)))


def every_simple_candidate() -> SelectedSet:
    """All that a search looks at."""
    return selected_set([one.name for one in simple_candidates()], centre=0.0, unit=1.0)
