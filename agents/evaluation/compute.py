"""Loss beside all that it took: what is the best that so much compute buys?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .pairs import Row


@dataclass(frozen=True, kw_only=True)
class Bill:
    """An entrant's mean loss, bits a byte, and what a run of it costs in units.

    `run` is all of a run: its training, passes for signals, shadow learners and trials. `tuning` is that of the
    tuning before, shared by the streams it was good for.
    """

    loss_bpb: float
    run: float
    tuning: float

    @property
    def total(self) -> float:
        """The run with its share of the tuning."""
        return self.run + self.tuning


def bill(rows: Sequence[Row]) -> Bill:
    """What one entrant's rows cost, from one base; its tuning is shared by as many streams as they are of."""
    streams = len({row["stream"] for row in rows})
    return Bill(
        loss_bpb=float(np.mean([row["loss_bpb"] for row in rows])),
        run=float(np.mean([row["total_spent"] for row in rows])),
        tuning=rows[0]["tuning_spent"] / streams,
    )


def at_equal_compute(groups: Mapping[str, Sequence[Row]]) -> list[tuple[str, Bill, str]]:
    """Entrants with their bills by total cost, each beside the best of all that cost no more than it does.

    Groups of fewer streams than most are left out: their means are of other streams.
    """
    streams = {name: {row["stream"] for row in rows} for name, rows in groups.items()}
    most = max(map(len, streams.values()), default=0)
    bills = {name: bill(rows) for name, rows in groups.items() if len(streams[name]) == most}
    ranked = sorted(bills, key=lambda name: (bills[name].total, bills[name].loss_bpb))
    return [
        (name, bills[name], min(ranked[: k + 1], key=lambda other: bills[other].loss_bpb))
        for k, name in enumerate(ranked)
    ]


def compute_table(groups: Mapping[str, Sequence[Row]]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: loss and costs of each entrant, and who is best at that total."""
    heads = ["controller", "loss", "a run", "tuning's share", "total", "best for as much"]
    return heads, [
        [
            name,
            f"{bill.loss_bpb:.4f}",
            f"{bill.run:,.0f}",
            f"{bill.tuning:,.0f}",
            f"{bill.total:,.0f}",
            "itself" if best == name else best,
        ]
        for name, bill, best in at_equal_compute(groups)
    ]
