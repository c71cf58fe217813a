"""The file of a selected feature set: JSON, what was selected and from what."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olrl.monitor.feature_set import SelectedSet

FORMAT = 1
_LARGEST = 4 << 20  # bytes


def write_feature_set(path: Path, features: SelectedSet, *, selection: Mapping[str, Any]) -> None:
    """Write it, whole or not at all; `selection` says how it was selected, JSON-able."""
    content = {"format": FORMAT, "features": features.spec(), "selection": dict(selection)}
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    scratch.replace(path)


def read_feature_set(path: Path) -> SelectedSet:
    """From such a file; ValueError, in one sentence, for whatever is none."""
    if not path.is_file():
        raise ValueError(f"there is no feature spec at {path}: olrl features writes one")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than the {_LARGEST >> 20} MiB that a feature spec may have")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != {"format", "features", "selection"}:
        raise ValueError(f"{path} is no feature spec: it has not the keys format, features and selection")
    if content["format"] != FORMAT:
        raise ValueError(f"{path} has the unknown format {content['format']!r}; this olrl reads {FORMAT}")
    try:
        return SelectedSet.from_spec(content["features"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
