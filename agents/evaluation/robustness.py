"""What a wrong base costs an entrant."""

from collections.abc import Mapping, Sequence

from .bootstrap import Interval
from .pairs import Pairs, Row, pair_policies
from .statistics import iqm_percent


def cost_of_a_wrong_base(rows: Sequence[Row], controller: str) -> Mapping[float, Interval]:
    """Loss at each base multiplier against the entrant's own at the right base, per cent, by multiplier.

    Paired by policy and stream, interquartile mean. Empty for one that was not run at ×1 and elsewhere. Robust is
    not good: an entrant that is bad from every base is robust.
    """
    mine = [row for row in rows if row["controller"] == controller]
    by_mult = {mult: [row for row in mine if row["base_lr_mult"] == mult] for mult in _mults(mine)}
    right = by_mult.pop(1.0, [])
    return {mult: iqm_percent(_both(wrong, right)) for mult, wrong in by_mult.items()} if right else {}


def _both(wrong: Sequence[Row], right: Sequence[Row]) -> Pairs:
    """Only what ran at the wrong base, beside the same at the right one."""
    ran = {(row["policy_seed"], row["stream"]) for row in wrong}
    return pair_policies(wrong, [row for row in right if (row["policy_seed"], row["stream"]) in ran])


def _mults(rows: Sequence[Row]) -> list[float]:
    return sorted({row["base_lr_mult"] for row in rows})
