"""How much candidates tell of what is to be predicted, by scikit-learn's measures."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MEASURES = ("mutual_information", "l1", "permutation")
_NEIGHBOURS, _TREES, _LEAF = 3, 40, 5
_PENALTY = 0.05  # of the one that leaves nothing
_ROWS = 1500  # for mutual information, whose cost is that of a search for neighbours


def scores_of(features: Floats, targets: Floats, *, seed: int, permutation: bool = True) -> dict[str, Floats]:
    """Of each measure the share that every candidate has in what all of them tell, mean over targets: (C,).

    `features`, (N, C), are finite and about 1 in size; `targets` are (N, K), NaN in rows that a target leaves out.
    Mutual information by nearest neighbours (Kraskov et al., 2004); absolute weights of a fit with an L1 penalty
    (Tibshirani, 1996), which gives nothing to a candidate that says what others say better; and how much worse
    extremely randomised trees (Geurts et al., 2006) predict rows that they have not seen when a candidate's values
    are mixed up (Breiman, 2001).
    """
    measures: dict[str, Callable[[Floats, Floats, int], Floats]] = {
        "mutual_information": _mutual_information,
        "l1": _l1,
    }
    if permutation:
        measures["permutation"] = _permutation
    found = {name: np.zeros(features.shape[1]) for name in measures}
    told = 0
    for target in targets.T:
        rows = np.isfinite(target)
        if rows.sum() < 50 or target[rows].std() < 1e-12:
            continue
        told += 1
        wanted = (target[rows] - target[rows].mean()) / target[rows].std()
        for name, measure in measures.items():
            raw = np.maximum(measure(features[rows], wanted, seed), 0.0)
            found[name] += raw / raw.sum() if raw.sum() > 0 else 0.0
    if not told:
        raise ValueError("the recorded runs say nothing: all of their choices cost the same")
    return {name: values / told for name, values in found.items()}


def _mutual_information(features: Floats, target: Floats, seed: int) -> Floats:
    from sklearn.feature_selection import mutual_info_regression

    rows = np.random.default_rng(seed).permutation(len(target))[:_ROWS]
    found: Floats = mutual_info_regression(
        features[rows], target[rows], n_neighbors=_NEIGHBOURS, random_state=seed
    )
    return found


def _l1(features: Floats, target: Floats, seed: int) -> Floats:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    spread = features.std(axis=0)
    z = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    most = float(np.abs(z.T @ target).max()) / len(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # candidates are nearly collinear: good enough
        fitted = Lasso(alpha=max(_PENALTY * most, 1e-9), max_iter=500, random_state=seed).fit(z, target)
    weights: Floats = np.abs(fitted.coef_)
    return weights


def _permutation(features: Floats, target: Floats, seed: int) -> Floats:
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.inspection import permutation_importance

    order = np.random.default_rng(seed).permutation(len(target))
    known, unseen = order[: 2 * len(order) // 3], order[2 * len(order) // 3 :]
    trees = ExtraTreesRegressor(
        n_estimators=_TREES, min_samples_leaf=_LEAF, max_features=0.33, random_state=seed, n_jobs=1
    ).fit(features[known], target[known])
    found = permutation_importance(
        trees, features[unseen], target[unseen], n_repeats=2, random_state=seed, n_jobs=1
    )
    mean: Floats = found.importances_mean
    return mean
