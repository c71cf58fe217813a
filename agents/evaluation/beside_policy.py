"""The policy beside every other entrant, from each base."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..rivals.registry import ENTRANTS
from .pairs import Pairs, Row, pair, pair_policies
from .statistics import iqm_percent
from .summary import base_of_row
from .tables import with_interval

OURS = "policy"


def against_policy(groups: Mapping[str, Sequence[Row]], name: str) -> Pairs | None:
    """The policy paired with another entrant, stream by stream; one that is made from policies with its own.

    None for itself, and where one of the two did not run on the other's streams.
    """
    mine, theirs = groups.get(OURS, ()), groups.get(name, ())
    if name == OURS or not mine or {row["stream"] for row in mine} != {row["stream"] for row in theirs}:
        return None
    return (pair_policies if _by_policy(name) else pair)(mine, theirs)


def _by_policy(name: str) -> bool:
    return name in ENTRANTS and ENTRANTS[name].policy == "given"


def beside_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: the loss of the policy beside each other entrant's, per cent of it, by base multiplier.

    On the streams that both ran on; empty where one of the two was not run from a base.
    """
    mults = sorted({row["base_lr_mult"] for row in rows if row["controller"] == OURS})
    heads = ["the policy against", *(f"base lr x{mult:g}" for mult in mults)]
    columns = [_from_base(rows, mult) for mult in mults]
    names = dict.fromkeys(name for column in columns for name in column)
    told = [[name, *(_told(against_policy(column, name)) for column in columns)] for name in names]
    return heads, [row for row in told if any(row[1:])]


def _from_base(rows: Sequence[Row], mult: float) -> dict[str, list[Row]]:
    """Rows of each entrant at one base, on the policy's streams there."""
    streams = {row["stream"] for row in rows if row["controller"] == OURS and row["base_lr_mult"] == mult}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["stream"] in streams and base_of_row(row) in (None, mult):
            groups.setdefault(row["controller"], []).append(row)
    return groups


def _told(pairs: Pairs | None) -> str:
    return "" if pairs is None else with_interval(asdict(iqm_percent(pairs)), "+.2f")
