"""What the policy that ships was asked to reach on test streams, and what it reaches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .beside_policy import OURS, against_policy
from .bootstrap import Interval
from .headline import CONTROLS, SKIPPING
from .pairs import Row
from .raw import Raw
from .robustness import cost_of_a_wrong_base
from .saving import unspent_share
from .statistics import iqm_percent, normalised_score
from .summary import FIXED, STILL, at_right_base, best_against, pairs_against
from .tables import with_interval

MODELS = ("nano", "mini", "bpe")  # parts of the page, by their models
MUST_BEAT = ("drift-reset", "hypergradient")
MOVING = ("abrupt", "recurring", "burst")
LEAST_SCORE = 0.5
WRONG_BASE = 2.0  # per cent of the policy's own loss at the right base
NO_HARM = 0.5  # per cent of the constant, the upper end of the interval
SAVED, DEARER = 0.4, 0.5  # share of the budget unspent, at so many per cent above training always
AS_MUCH = 0.03  # share of rounds by which an entrant that skips may train more or less than the policy


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One thing asked, what was found, with 95 % intervals, and whether that is enough.

    The whole interval is to be, unless what is asked says otherwise.
    """

    asked: str
    found: str
    reached: bool


def goals(raws: Mapping[str, Raw]) -> list[Goal]:
    """All goals that the parts that are there can tell of."""
    rows = {part: raw.rows for part, raw in raws.items()}
    models = [name for name in MODELS if name in rows]
    found = [
        goal
        for each in (_beats, _from_wrong_bases, _does_no_harm)
        for name in models
        for goal in each(name, rows[name])
    ]
    found += _scores(rows.get("nano", ()))
    found += _against(
        "nano", rows.get("nano-search", ()), "search-hindsight", asked="is no worse than", tie_is_enough=True
    )
    found += _diverges_nowhere(rows)
    found += _saves(raws["skip"]) if "skip" in raws else ()
    for control in CONTROLS:
        found += _against("nano", rows.get("controls", ()), control, asked="is better than the control")
    return found


def goal_table(raws: Mapping[str, Raw]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of all goals."""
    rows = [[goal.asked, goal.found, "yes" if goal.reached else "no"] for goal in goals(raws)]
    return ["asked of the policy", "found", "reached"], rows


def _beats(model: str, rows: Sequence[Row]) -> Iterator[Goal]:
    asked = f"where text moves ({', '.join(MOVING)}), is better than"
    for rival in MUST_BEAT:
        yield from _against(model, _moving(rows), rival, asked=asked)


def _against(
    model: str, rows: Sequence[Row], rival: str, *, asked: str, tie_is_enough: bool = False
) -> Iterator[Goal]:
    pairs = against_policy(at_right_base(rows), rival)
    if pairs is not None:
        interval = iqm_percent(pairs)
        reached = _at_most(interval, 0.0) if tie_is_enough else _is_less(interval)
        yield Goal(asked=f"`{model}`: {asked} `{rival}`", found=_percent(interval), reached=reached)


def _scores(rows: Sequence[Row]) -> Iterator[Goal]:
    rows = _moving(rows)
    groups, best = at_right_base(rows), best_against(rows)
    told: dict[str, Interval] = {}
    for name in (OURS, *MUST_BEAT):
        pairs = pairs_against(groups[name], rows) if name in groups else None
        if pairs is not None and best is not None:
            score = normalised_score(pairs, best.on(pairs.streams))
            told |= {} if score is None else {name: score}
    if OURS in told:
        ours = told[OURS].value
        highest = max((score.value for name, score in told.items() if name != OURS), default=-np.inf)
        yield Goal(
            asked=f"`nano`: a normalised score (by estimate) of {LEAST_SCORE:g} and above both rivals'",
            found="; ".join(
                f"`{name}` {with_interval(asdict(score), '+.2f')}" for name, score in told.items()
            ),
            reached=ours >= LEAST_SCORE and ours > highest,
        )


def _from_wrong_bases(model: str, rows: Sequence[Row]) -> Iterator[Goal]:
    for mult, interval in cost_of_a_wrong_base(rows, OURS).items():
        yield Goal(
            asked=f"`{model}`: from a base ×{mult:g} within {WRONG_BASE:g} % of its own loss from the right one",
            found=_percent(interval),
            reached=_at_most(interval, WRONG_BASE),
        )


def _does_no_harm(model: str, rows: Sequence[Row]) -> Iterator[Goal]:
    groups = at_right_base(rows)
    pairs = pairs_against(groups[OURS], rows) if OURS in groups else None
    if pairs is not None and STILL in pairs.kinds:
        interval = iqm_percent(pairs.of_kind(STILL))
        yield Goal(
            asked=f"`{model}`: without drift at most {NO_HARM:g} % above the constant (upper end)",
            found=f"{_percent(interval)}, {pairs.kinds.count(STILL)} streams",
            reached=_at_most(interval, NO_HARM),
        )


def _diverges_nowhere(parts: Mapping[str, Sequence[Row]]) -> Iterator[Goal]:
    ours = [row for rows in parts.values() for row in rows if row["controller"] == OURS]
    lost = sum(bool(row["diverged"]) for row in ours)
    if ours:
        yield Goal(asked="diverges nowhere", found=f"{lost} of {len(ours)} runs", reached=not lost)


def _saves(raw: Raw) -> Iterator[Goal]:
    groups, budget = at_right_base(raw.rows), raw.settings["cost"]["budget"]
    if OURS not in groups:
        return
    unspent = unspent_share(groups[OURS], budget=budget)
    always = against_policy(groups, FIXED)
    if always is not None:
        interval = iqm_percent(always)
        yield Goal(
            asked=f"quiet streams, at a price: within {DEARER:g} % of training always, {SAVED:.0%} unspent",
            found=f"{_percent(interval)}, {unspent:.0%} unspent",
            reached=_at_most(interval, DEARER) and unspent >= SAVED,
        )
    share = _trained(groups[OURS])
    for name in SKIPPING:
        pairs = against_policy(groups, name)
        if pairs is not None:
            interval, theirs = iqm_percent(pairs), _trained(groups[name])
            yield Goal(
                asked=f"quiet streams: is better than `{name}` at equal spend",
                found=f"{_percent(interval)}, {share:.0%} and {theirs:.0%} of the rounds",
                reached=_is_less(interval) and abs(share - theirs) <= AS_MUCH,
            )


def _trained(rows: Sequence[Row]) -> float:
    return float(np.mean([row["updated_share"] for row in rows]))


def _moving(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["drift_kind"] in MOVING]


def _at_most(interval: Interval, most: float) -> bool:
    """Whether the whole interval is; never where there is none, of a single stream."""
    return interval.high is not None and interval.high <= most


def _is_less(interval: Interval) -> bool:
    """Whether the whole interval is below 0, which a tie is not."""
    return interval.high is not None and interval.high < 0


def _percent(interval: Interval) -> str:
    return with_interval(asdict(interval), "+.1f") + " %"
