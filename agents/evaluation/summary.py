"""What a comparison comes to: one entry for each entrant and base, with intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .bootstrap import Interval
from .entrants import ENTRANTS
from .pairs import Pairs, Row, pair
from .statistics import improvement, iqm_percent, mean_difference, normalised_score, worst_percent

FIXED, BASE, BEST = "fixed", "base", "segment-best"
STILL = "none"  # the kind without drift, which has no score


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Means over policies, streams and seeds for each entrant and base multiplier, in the order they came.

    Entrants that use no base appear once, with `base_lr_mult` null. `against` holds the differences, paired by
    stream, to `fixed` where it takes part, else to `base` at the same multiplier: what it would have been to
    leave things as they are. `kinds` holds loss, difference and normalised score for each kind of drift; the
    score needs `fixed` and `segment-best`. Rows are those of one suite and model. Each interval has `value`,
    `low`, `high` (95 %, null where there is but one stream) and `over`, what was resampled.
    """
    groups: dict[tuple[str, float | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["controller"], base_of_row(row)), []).append(row)
    return [_entry(controller, mult, members, rows) for (controller, mult), members in groups.items()]


def base_of_row(row: Row) -> float | None:
    """The base multiplier of a run, None for an entrant that behaves the same whatever the base.

    >>> base_of_row({"controller": "never", "base_lr_mult": 1.0}) is None
    True
    """
    controller = ENTRANTS.get(row["controller"])
    return None if controller is not None and not controller.uses_base else row["base_lr_mult"]


def at_right_base(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each entrant at multiplier 1, or at any for one that uses no base."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if base_of_row(row) in (None, 1.0):
            groups.setdefault(row["controller"], []).append(row)
    return groups


def pairs_against(members: Sequence[Row], rows: Sequence[Row]) -> Pairs | None:
    """One entrant's rows paired with its rival's among `rows`, on the streams that the entrant ran on.

    None where no rival took part.
    """
    streams = {row["stream"] for row in members}
    rows = [row for row in rows if row["stream"] in streams]
    rival = [row for row in rows if row["controller"] == FIXED]
    if not rival:
        mults = sorted({row["base_lr_mult"] for row in rows if row["controller"] == BASE})
        wanted = base_of_row(members[0]) or 1.0
        if not mults:
            return None
        nearest = wanted if wanted in mults else min(mults, key=lambda mult: abs(mult - 1))
        rival = [row for row in rows if row["controller"] == BASE and row["base_lr_mult"] == nearest]
    return pair(members, rival)


def best_against(rows: Sequence[Row]) -> Pairs | None:
    """`segment-best` beside `fixed`: what a score is measured by; None where one of them is missing."""
    best, fixed = ([row for row in rows if row["controller"] == name] for name in (BEST, FIXED))
    return pair(best, fixed) if best and fixed else None


def _entry(
    controller: str, mult: float | None, members: Sequence[Row], rows: Sequence[Row]
) -> dict[str, Any]:
    pairs, best = pairs_against(members, rows), best_against(rows)
    kinds = dict.fromkeys(row["drift_kind"] for row in members)
    return {
        "controller": controller,
        "base_lr_mult": mult,
        **_means(members),
        "diverged": sum(row["diverged"] for row in members),
        "runs": len(members),
        "policies": len({row["policy_seed"] for row in members}),
        "streams": len({row["stream"] for row in members}),
        "against": None if pairs is None else _against(pairs),
        "kinds": {
            kind: _of_kind([row for row in members if row["drift_kind"] == kind], kind, pairs, best)
            for kind in kinds
        },
    }


def _means(members: Sequence[Row]) -> dict[str, float]:
    return {
        name: sum(row[name] for row in members) / len(members) for name in ("loss_bpb", "spent", "updates")
    }


def _against(pairs: Pairs) -> dict[str, Any]:
    return {
        "controller": pairs.against,
        "difference_bpb": asdict(mean_difference(pairs)),
        "iqm_percent": asdict(iqm_percent(pairs)),
        "improvement": asdict(improvement(pairs)),
        "worst_percent": worst_percent(pairs),
    }


def _of_kind(members: Sequence[Row], kind: str, pairs: Pairs | None, best: Pairs | None) -> dict[str, Any]:
    mine = None if pairs is None else pairs.of_kind(kind)
    score: Interval | None = None
    if mine is not None and best is not None and kind != STILL:
        score = normalised_score(mine, best.of_kind(kind).on(mine.streams))
    return {
        "loss_bpb": _means(members)["loss_bpb"],
        "streams": len({row["stream"] for row in members}),
        "iqm_percent": None if mine is None else asdict(iqm_percent(mine)),
        "score": None if score is None else asdict(score),
    }
