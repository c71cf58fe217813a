"""The figures of one part of the results page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from olrl.analysis.cost_figure import CostPoint, figure_cost
from olrl.analysis.profile_figure import figure_profiles
from olrl.analysis.robustness_figure import figure_robustness
from olrl.analysis.score_figure import Estimate, figure_scores

from .bootstrap import Interval
from .example import OURS
from .headline import MAIN
from .profile import profile
from .raw import Raw
from .robustness import cost_of_a_wrong_base
from .summary import BEST, FIXED, at_right_base, base_of_row, pairs_against
from .tables import label

CROWD = 10  # more curves would be a tangle: then those of `KNOWN` are drawn, and the lowest of the others
KNOWN = ("never", *MAIN, BEST, "search-hindsight", *OURS)


def figures_of(raw: Raw, summary: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Figure]]:
    """Name, alternative text and figure, of those that the part has the runs for."""
    found = [_scores(summary), _profiles(raw), _costs(raw), _robustness(raw)]
    drawn = _drawn(raw)
    examples = [
        (f"{example.kind}", f"losses and decisions, {example.title}", example.figure(entrants=drawn))
        for example in raw.examples
    ]
    return [figure for figure in found if figure is not None] + examples


def _drawn(raw: Raw) -> list[str]:
    """Entrants that get a curve, in the order of the tables."""
    loss = {
        name: float(np.mean([row["loss_bpb"] for row in members]))
        for name, members in at_right_base(raw.rows).items()
    }
    first = sorted(loss, key=lambda name: (name not in KNOWN, loss[name]))[:CROWD]
    return [name for name in loss if name in first]


def _scores(summary: Sequence[Mapping[str, Any]]) -> tuple[str, str, Figure] | None:
    scores = {
        label(entry): {kind: _estimate(of["score"]) for kind, of in entry["kinds"].items() if of["score"]}
        for entry in summary
        if entry["controller"] not in (FIXED, BEST, "never") and entry["base_lr_mult"] in (None, 1.0)
    }
    ranked = sorted(
        (name for name, of in scores.items() if of),
        key=lambda name: -float(np.mean([estimate.value for estimate in scores[name].values()])),
    )
    if not ranked:
        return None
    title = "Share of what control by segment can gain (normalised score, 95 % intervals; right base rate)"
    figure = figure_scores({name: scores[name] for name in ranked}, title=title, highlight=OURS)
    return "scores", title, figure


def _profiles(raw: Raw) -> tuple[str, str, Figure] | None:
    groups = at_right_base(raw.rows)
    if FIXED not in groups:
        return None
    pairs = {
        name: pairs_against(groups[name], raw.rows) for name in _drawn(raw) if name not in (FIXED, "never")
    }
    reach = {
        name: float(np.quantile(np.abs(of.percent), 0.98)) for name, of in pairs.items() if of is not None
    }
    ours = max((reach[name] for name in reach if name in OURS), default=math.inf)
    limit = math.ceil(max(1.0, min(max(reach.values(), default=1.0), 2 * ours)))  # others may be far off
    grid = np.linspace(-limit, limit, 241)
    profiles = {name: profile(found, grid) for name, found in pairs.items() if found is not None}
    title = "Share of streams on which the loss is at most so much above that of fixed"
    return "profiles", title, figure_profiles(grid, profiles, rival=FIXED, title=title, highlight=OURS)


def _costs(raw: Raw) -> tuple[str, str, Figure] | None:
    points = {}
    for name, members in at_right_base(raw.rows).items():
        # trials on the stream itself are part of the run, and not of a tuning before it
        cost, tuning = float(np.mean([row["total_spent"] for row in members])), members[0]["tuning_spent"]
        points[name] = CostPoint(
            loss_bpb=float(np.mean([row["loss_bpb"] for row in members])),
            cost=cost,
            with_tuning=cost + tuning if tuning else None,
        )
    if not any(point.cost > 0 for point in points.values()):
        return None
    title = "Loss against cost, with signal passes and shadow learners"
    return "costs", title, figure_cost(points, title=title, highlight=OURS)


def _robustness(raw: Raw) -> tuple[str, str, Figure] | None:
    names = [
        name for name in dict.fromkeys(row["controller"] for row in raw.rows)
        if any(row["controller"] == name and base_of_row(row) not in (None, 1.0) for row in raw.rows)
    ]  # fmt: skip
    costs = {
        name: {mult: _estimate_of(found) for mult, found in cost_of_a_wrong_base(raw.rows, name).items()}
        for name in names
    }
    costs = {name: of for name, of in costs.items() if of}
    if not costs:
        return None
    title = "What a wrong base learning rate costs"
    return "robustness", title, figure_robustness(costs, title=title, highlight=OURS)


def _estimate(found: dict[str, float]) -> Estimate:
    return Estimate(value=found["value"], low=found["low"], high=found["high"])


def _estimate_of(found: Interval) -> Estimate:
    return Estimate(value=found.value, low=found.low, high=found.high)
