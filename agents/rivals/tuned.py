"""The settings that rivals were tuned to, and what that took."""

import json
from pathlib import Path
from typing import Any

TUNED = Path(__file__).parent.parent / "tuned"


def tuned_settings(name: str) -> dict[str, Any]:
    """Settings of a rival from its tuning record, none if it has no record."""
    path = TUNED / f"{name}.json"
    if not path.is_file():
        return {}
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
    return settings


def tuning_examples(name: str, *, model: str) -> int:
    """Examples that an entrant's tuning has seen, as its record says: that of `fixed` is the model's own."""
    return int(_record(name, model).get("tuning_examples", 0))


def tuning_spent(name: str, *, model: str) -> float:
    """Cost units of an entrant's tuning, passes for signals included.

    Records of old tell examples only: then a unit for each, which is less than it was.
    """
    record = _record(name, model)
    return float(record.get("tuning_spent", record.get("tuning_examples", 0)))


def _record(name: str, model: str) -> dict[str, Any]:
    path = TUNED / (f"fixed-{Path(model).name}.json" if name == "fixed" else f"{name}.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record
