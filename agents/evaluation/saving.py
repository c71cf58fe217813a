"""What a policy saves where training has a price, and what that costs it in loss."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from .beside_policy import OURS, against_policy
from .pairs import Row
from .statistics import improvement, iqm_percent
from .tables import with_interval


def unspent_share(rows: Sequence[Row], *, budget: float) -> float:
    """Mean share of the budget that was left unspent, `budget` units a round.

    >>> unspent_share([{"spent": 160.0, "rounds": 10}], budget=64.0)
    0.75
    """
    return 1 - float(np.mean([row["spent"] / (budget * row["rounds"]) for row in rows]))


def saving_table(groups: Mapping[str, Sequence[Row]], *, budget: float) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: what every entrant trained and spent, and the loss of the policy beside its own."""
    heads = ["controller", "loss", "rounds trained", "budget unspent", "policy against, %", "better on"]
    if OURS not in groups:
        return heads, []
    told = []
    for name, rows in groups.items():
        pairs = against_policy(groups, name)
        told.append(
            [
                name,
                f"{np.mean([row['loss_bpb'] for row in rows]):.4f}",
                f"{np.mean([row['updated_share'] for row in rows]):.0%}",
                f"{unspent_share(rows, budget=budget):.0%}",
                "" if pairs is None else with_interval(asdict(iqm_percent(pairs)), "+.2f"),
                "" if pairs is None else with_interval(asdict(improvement(pairs)), ".0%"),
            ]
        )
    return heads, told
