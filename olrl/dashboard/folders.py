"""The runs that a folder holds, each at a glance."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrl.analysis.liveness import Kind, kind_of, liveness
from olrl.analysis.privacy import is_private
from olrl.run_folder import CONFIG, RunFolder

MOST = 200  # runs of a folder that are shown, the newest
TAIL_BYTES = 64 << 10  # of decisions.jsonl, that a glance reads
_SAME = ("stream", "chunk", "seq_len", "seed")  # settings that decide which chunks a run reads


@dataclass(frozen=True, kw_only=True)
class Glance:
    """A run of a folder: its name, what wrote it, and how it stands; rounds and loss where it has some."""

    name: str
    folder: RunFolder
    kind: Kind
    state: str
    rounds: int | None
    loss_bpb: float | None


def runs_in(path: Path) -> list[RunFolder]:
    """The run in a folder, or those right below it, the newest first; ValueError where there is none."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give the folder of a run, or of several")
    if (path / CONFIG).is_file():
        return [RunFolder.open(path)]
    found = [each for each in _below(path) if (each / CONFIG).is_file()]
    if not found:
        raise ValueError(
            f"{path} holds no run: neither in itself nor in a folder right below it is a {CONFIG}"
        )
    found.sort(key=lambda each: -(each / CONFIG).stat().st_mtime)
    return [RunFolder(each) for each in found[:MOST]]


def _below(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def glance(folder: RunFolder) -> Glance:
    """A run at a glance; one that cannot be read is said to be damaged."""
    name = ascii_safe(folder.path.name)
    try:
        kind = kind_of(folder)
        rows = _last_rows(folder.decisions) if kind == "run" else []
        losses = [row["loss_bpb"] for row in rows if isinstance(row.get("loss_bpb"), int | float)]
        return Glance(
            name=name,
            folder=folder,
            kind=kind,
            state=liveness(folder).state,
            rounds=int(rows[-1]["round"]) + 1 if rows else None,
            loss_bpb=sum(losses) / len(losses) if losses and all(map(math.isfinite, losses)) else None,
        )
    except (ValueError, OSError, LookupError, TypeError, ArithmeticError):
        return Glance(name=name, folder=folder, kind="other", state="damaged", rounds=None, loss_bpb=None)


def ascii_safe(name: str) -> str:
    """A file's name as text that can be sent: bytes that are none are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def comparable(folder: RunFolder, others: list[RunFolder]) -> list[RunFolder]:
    """Those of the other runs that were asked to read the same chunks; whether they did is checked in reading.

    None with differential privacy, whose losses are withheld.
    """
    asked = _chunks(folder)
    return [
        other
        for other in others
        if other.path != folder.path and asked is not None and _chunks(other) == asked
    ]


def _chunks(folder: RunFolder) -> dict[str, Any] | None:
    try:
        if kind_of(folder) != "run":
            return None
        config = folder.read_config()
        asked = config["run"]
    except (ValueError, OSError, LookupError):
        return None
    return None if is_private(config) else {name: asked.get(name) for name in _SAME}


def _last_rows(path: Path) -> list[dict[str, Any]]:
    """Up to 100 whole rows at a file's end."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL_BYTES, 0))
        lines = file.read(TAIL_BYTES).split(b"\n")
    whole = lines[1 if size > TAIL_BYTES else 0 : -1][-100:]
    rows = [json.loads(line) for line in whole if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} holds a line that is no JSON object")
    return rows
