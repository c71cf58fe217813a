import random
import warnings

import numpy as np
import pytest
from river.drift import KSWIN as RiverKSWIN
from scipy.stats import ks_2samp  # type: ignore[import-untyped] # it ships no types

from olrl.monitor.kswin import KSWIN, are_apart, least_alarming


def alarms(detector: KSWIN | RiverKSWIN, series: list[float]) -> list[int]:
    found = []
    for t, x in enumerate(series):
        detector.update(x)
        if detector.drift_detected:
            found.append(t)
    return found


def drifting(seed: int) -> list[float]:
    """Noise whose level, size and grain change now and then; some of it in few values, so that there are ties."""
    rng = np.random.default_rng(seed)
    parts = [
        np.round(rng.normal(rng.normal(), rng.uniform(0.2, 3), 60), int(rng.integers(0, 3))) for _ in range(7)
    ]
    return [float(x) for x in np.concatenate(parts)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("alpha", "window", "newest"), [(0.005, 80, 15), (0.05, 30, 7), (0.9, 50, 25)])
def test_the_alarms_are_rivers(seed: int, alpha: float, window: int, newest: int) -> None:
    series = drifting(seed)
    theirs = alarms(RiverKSWIN(alpha=alpha, window_size=window, stat_size=newest, seed=3), series)
    assert alarms(KSWIN(alpha=alpha, window=window, newest=newest, seed=3), series) == theirs


def test_those_streams_do_raise_alarms_of_the_detector_in_use() -> None:
    found = [
        len(alarms(KSWIN(alpha=0.005, window=80, newest=15, seed=3), drifting(seed))) for seed in range(4)
    ]
    assert sum(found) >= 4


@pytest.mark.parametrize("r", [2, 5, 15, 30])
def test_being_apart_is_the_statistic_of_kolmogorov_and_smirnov(r: int) -> None:
    rng = random.Random(r)
    for _ in range(100):
        a, b = (sorted(rng.choice([rng.gauss(0, 1), rng.randint(-2, 2)]) for _ in range(r)) for _ in "ab")
        largest = max(h for h in range(r + 1) if h == 0 or are_apart(a, b, h))
        assert largest == round(ks_2samp(a, b, method="asymp").statistic * r)


@pytest.mark.parametrize("r", [1, 5, 11, 15, 40])
@pytest.mark.parametrize("alpha", [1e-6, 0.005, 0.05, 0.5])
def test_the_least_alarming_statistic_is_where_the_exact_p_value_falls_to_alpha(r: int, alpha: float) -> None:
    def p_value(h: int) -> float:  # of samples that are h / r apart
        with warnings.catch_warnings(action="ignore"):  # scipy's exact p-value of 1 exceeds 1 by rounding
            return float(ks_2samp([*range(h), *[r] * (r - h)], [r] * r, method="exact").pvalue)

    alarming = [h for h in range(1, r + 1) if p_value(h) <= alpha and h / r > 0.1]
    assert least_alarming(r, alpha) == min(alarming, default=r + 1)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"newest": 0}, {"newest": 41}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    settings: dict[str, float] = {"alpha": 0.005, "window": 80, "newest": 15, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KSWIN(seed=0, **settings)  # type: ignore[arg-type] # integers, as they come
