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
    path = TUNED / (f"fixed-{Path(model).name}.json" if name == "fixed" else f"{name}.json")
    return int(json.loads(path.read_text(encoding="utf-8"))["tuning_examples"]) if path.is_file() else 0
