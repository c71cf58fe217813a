"""What a row of a run's files must be to be reported on: a folder may come from somebody else, or be damaged."""

import math
from typing import Any

from olrl.control.decision import WINDOWS
from olrl.control.explain import KNOBS

_MOST = 1e12  # rounds, bytes, units: figures and tables of more would never be drawn


def check_decision(row: dict[str, Any]) -> None:
    """Raises ValueError, naming the field, unless `row` can be a line of decisions.jsonl."""
    for name in ("round", "updates", "spent"):
        _check(row, name, _is_number(row[name], 0, _MOST))
    _check(row, "loss_bpb", row["loss_bpb"] is None or _is_number(row["loss_bpb"], -1e6, 1e6))
    for name in ("loss_nats", "metric"):  # where labels are learned
        _check(row, name, row.get(name) is None or _is_number(row[name], -1e6, 1e6))
    _check_knobs(row)
    if "proposed" in row:
        _check(row, "proposed", isinstance(row["proposed"], dict))
        _check_knobs(row["proposed"])
    if "text_features" in row:
        _check(row, "text_features", _is_reselection(row["text_features"]))
    _check(row, "guard", isinstance(row["guard"], str | None))
    drift = row["drift"]
    _check(row, "drift", isinstance(drift, list) and all(isinstance(name, str) for name in drift))


def check_arrived(row: dict[str, Any]) -> None:
    """Raises ValueError, naming the field, unless `row` can be a line of stream.jsonl."""
    _check(row, "n_bytes", _is_number(row["n_bytes"], 0, _MOST))
    _check(row, "segment", _is_number(row["segment"], -_MOST, _MOST))
    judged = row.get("judged", [])
    _check(row, "judged", isinstance(judged, list) and all(map(_is_count, judged)))


def check_config(config: dict[str, Any]) -> None:
    """Raises ValueError unless the budget in a run's config.json, which shares are taken of, is above 0."""
    run = config.get("run")
    budget = run.get("budget") if isinstance(run, dict) else None
    if not _is_number(budget, 1e-6, _MOST):
        raise ValueError(f"config.json is damaged: its budget is {ascii(budget)[:100]}, not a number above 0")


def check_explanation(row: dict[str, Any]) -> None:
    """Raises ValueError, naming the field, unless `row` can be a line of explanations.jsonl."""
    _check(row, "round", _is_number(row.get("round"), 0, _MOST))
    for knob in KNOBS:
        moved = row.get(knob)
        fits = isinstance(moved, dict) and all(_is_number(push, -_MOST, _MOST) for push in moved.values())
        _check(row, knob, fits)


def _is_count(count: Any) -> bool:
    """Class, predicted class, how often."""
    return isinstance(count, list) and len(count) == 3 and all(_is_number(each, 0, _MOST) for each in count)


def _is_reselection(found: Any) -> bool:
    """Why a classifier's text features were chosen anew, how many there are, and how many are new."""
    return (
        isinstance(found, dict)
        and isinstance(found.get("reason"), str)
        and all(_is_number(found.get(name), 0, _MOST) for name in ("chosen", "changed"))
    )


def _check_knobs(row: dict[str, Any]) -> None:
    # The least base, lowered by every rollback; an axis takes their quotient.
    _check(row, "lr", _is_number(row["lr"], 1e-50, 3e40))
    _check(row, "batch_size", _is_number(row["batch_size"], 1, 1e6))
    _check(row, "window", _is_number(row["window"], 0, 64) and row["window"] in WINDOWS)
    _check(row, "update", isinstance(row["update"], bool))
    for name in ("weight_decay", "pull"):
        _check(row, name, name not in row or _is_number(row[name], 0, _MOST))


def _is_number(value: Any, least: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most and math.isfinite(value)


def _check(row: dict[str, Any], name: str, fits: bool) -> None:
    if not fits:
        shown = (
            ascii(row[name])
            if isinstance(row.get(name), str | float | bool)
            else type(row.get(name)).__name__
        )
        raise ValueError(f"a row of the run's .jsonl files is damaged: its {name} is {shown[:100]}")
