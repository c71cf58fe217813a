"""Rows of small comparisons whose figures can be worked out by hand."""

from collections.abc import Mapping
from typing import Any

KINDS = {"still": "none", "a": "abrupt", "b": "abrupt", "c": "gradual"}


def row(controller: str, stream: str, loss: float, **fields: Any) -> dict[str, Any]:
    """A row as in results.json; `fields` replace the plain ones."""
    known: dict[str, Any] = {
        "suite": "drift",
        "stream": stream,
        "drift_kind": KINDS[stream],
        "model": "femto",
        "controller": controller,
        "policy_seed": None,
        "seed": 0,
        "base_lr_mult": 1.0,
        "price": 0.0,
        "rounds": 6,
        "loss_bpb": loss,
        "metric": None,
        "spent": 60.0,
        "signal_examples": 0,
        "tuning_examples": 0,
        "updates": 10,
        "seconds": 0.5,
        "diverged": False,
    }
    return {**known, **fields}


def rows(controller: str, losses: Mapping[str, float], **fields: Any) -> list[dict[str, Any]]:
    """A row a stream."""
    return [row(controller, stream, loss, **fields) for stream, loss in losses.items()]
