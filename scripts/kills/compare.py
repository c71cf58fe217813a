"""What differs between a run that was killed and one that was not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from olrl.checkpoint import Checkpoints
from olrl.run_folder import read_json_lines

_WALL_CLOCK = ("time/", "config", "_hparams_/")  # tags of stable-baselines3, and what says when a run began
_EVERY_POINT = {"scalars": 0, "tensors": 0, "images": 1}


def run_differences(one: Path, other: Path) -> list[str]:
    """Of two folders of `olrl run`: logs, curves, model and the whole state at their end, bit by bit."""
    lines = ("decisions.jsonl", "stream.jsonl", "explanations.jsonl")
    found = [name for name in lines if not _same_file(one / name, other / name)]
    if _letters(one) != _letters(other):
        found.append("dead_letter.jsonl")
    if _ending(one) != _ending(other):
        found.append("ending.json")
    found += _curve_differences(one, other)
    if not _same_file(one / "model" / "model.safetensors", other / "model" / "model.safetensors"):
        found.append("model.safetensors")
    mine, theirs = (_state(folder) for folder in (one, other))
    return found + [f"state {place}" for place in _places(mine, theirs)]


def training_differences(one: Path, other: Path) -> list[str]:
    """Of two folders of `olrl train`: policy, checkpoints and curves, but for the time that they took."""
    names = ("policy/policy.safetensors", "policy/policy.json")
    found = [name for name in names if not _same_file(one / name, other / name)]
    for stage in sorted(path.name for path in (one / "tensorboard").iterdir()):
        found += _curve_differences(one / "tensorboard" / stage, other / "tensorboard" / stage)
    mine, theirs = (_without_time(_newest(folder, "olrl train"), events=True) for folder in (one, other))
    return found + [f"checkpoint {place}" for place in _places(mine, theirs)]


def _same_file(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _letters(folder: Path) -> list[dict[str, Any]]:
    """Rejected rows; a hash (its key is drawn for each run) is told by the first row that has it."""
    path = folder / "dead_letter.jsonl"
    rows = read_json_lines(path) if path.exists() else []
    first: dict[str, int] = {}
    return [{**row, "hash": first.setdefault(row["hash"], k)} for k, row in enumerate(rows)]


def _ending(folder: Path) -> dict[str, Any]:
    ending: dict[str, Any] = json.loads((folder / "ending.json").read_text())
    return {name: value for name, value in ending.items() if name != "seconds"}


def _state(folder: Path) -> Any:
    state = _without_time(_newest(folder, "olrl run"), events=False)
    del state["tracker"]["files"], state["dead_letter"]["key"], state["dead_letter"]["size"]
    return state


def _newest(folder: Path, kind: str) -> dict[str, Any]:
    checkpoint = Checkpoints(folder / "checkpoints", kind=kind).newest()
    assert checkpoint is not None
    return checkpoint.state


def _without_time(state: Any, *, events: bool) -> Any:
    if isinstance(state, dict):
        left_out = ("seconds", *(("events",) if events else ()))
        return {
            name: _without_time(value, events=events) for name, value in state.items() if name not in left_out
        }
    return [_without_time(value, events=events) for value in state] if isinstance(state, list) else state


def _places(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two states differ by a bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for name in one for found in _places(one[name], other[name], f"{place}/{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for k, (mine, theirs) in pairs for found in _places(mine, theirs, f"{place}/{k}")]
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same = (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    else:
        same = type(one) is type(other) and repr(one) == repr(other)
    return [] if same else [place]


def _curve_differences(one: Path, other: Path) -> list[str]:
    mine, theirs = _curves(one), _curves(other)
    tags = sorted(mine.keys() | theirs.keys())
    return [f"curve {one.name}/{tag}" for tag in tags if mine.get(tag) != theirs.get(tag)]


def _curves(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """All points of all event files, steps and values in order of steps: a point that is there twice shows."""
    curves: dict[str, list[tuple[int, Any]]] = {}
    for path in folder.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path), size_guidance=_EVERY_POINT, purge_orphaned_data=False).Reload()
        tags = events.Tags()
        found = {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags["scalars"]}
        found |= {
            tag: [(one.step, one.tensor_proto.SerializeToString()) for one in events.Tensors(tag)]
            for tag in tags["tensors"]
        }
        for tag, points in found.items():
            if not tag.startswith(_WALL_CLOCK):
                curves[tag] = sorted([*curves.get(tag, []), *points])
    return curves
