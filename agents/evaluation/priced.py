"""Losses with what they cost, where training has a price."""

from collections.abc import Sequence
from typing import Any

from .pairs import Row
from .summary import FIXED


def priced(rows: Sequence[Row], *, price: float, budget: float) -> list[dict[str, Any]]:
    """The rows with price × share of the budget spent × loss of `fixed` on that stream added to each loss.

    That is the environments' reward as a loss: a whole budget (`budget` cost units a round) is worth `price`, as a
    share of the loss of the constant that is tuned for the model. Rows of streams that `fixed` did not run on are
    left out, so that nothing comes back where it does not take part.

    >>> row = {"stream": "a", "controller": "fixed", "loss_bpb": 2.0, "spent": 320.0, "rounds": 10}
    >>> priced([row], price=0.1, budget=64.0)[0]["loss_bpb"]  # half the budget, so 5 % of 2 bits
    2.1
    """
    fixed: dict[str, list[float]] = {}
    for row in rows:
        if row["controller"] == FIXED:
            fixed.setdefault(row["stream"], []).append(row["loss_bpb"])
    worth = {stream: price * sum(losses) / len(losses) for stream, losses in fixed.items()}
    return [
        {**row, "loss_bpb": row["loss_bpb"] + worth[row["stream"]] * row["spent"] / (budget * row["rounds"])}
        for row in rows
        if row["stream"] in worth
    ]
