"""Whether what writes into a folder is running, silent, dead, or over."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from olrl.folder_lock import is_held
from olrl.run_folder import CONFIG, RunFolder, read_json_lines

QUIET_S = 60.0  # without a round, after which a run is said to be silent
Kind = Literal["run", "train", "compare", "other"]
State = Literal["running", "silent", "dead", "over"]
_WRITTEN = ("decisions.jsonl", "tensorboard", "checkpoints", "validation", "hindsight", CONFIG)


_ENDS = {"run": "after its round", "train": "at its next step"}
_WAITS = {"run": "it waits for its stream", "train": "it plays runs to learn from, which write nothing here"}


@dataclass(frozen=True)
class Liveness:
    """How a folder's run stands, and that in a sentence."""

    state: State
    told: str

    @property
    def goes_on(self) -> bool:
        """Whether there is a process that would obey."""
        return self.state in ("running", "silent")


def kind_of(folder: RunFolder) -> Kind:
    """What wrote a folder; ValueError where its configuration is damaged."""
    config = folder.read_config()
    if config.get("kind") == "run" and isinstance(config.get("run"), dict):
        return "run"
    if config.get("command") == "train":
        return "train"
    return "compare" if folder.results.is_file() else "other"


def liveness(folder: RunFolder, *, now_s: float | None = None) -> Liveness:
    """How the run in a folder stands: its lock tells whether a process holds it, its files when it last wrote."""
    quiet = max((time.time() if now_s is None else now_s) - _last_written_s(folder.path), 0.0)
    held = is_held(folder.path)
    if held or (held is None and quiet < QUIET_S):
        if folder.stop_requested:
            return Liveness("running", f"Asked to stop: it ends {_ENDS.get(kind_of(folder), 'soon')}.")
        if quiet < QUIET_S:
            return Liveness("running", f"It wrote last {_duration(quiet)} ago.")
        waits = _WAITS.get(kind_of(folder), "it waits")
        return Liveness(
            "silent", f"Nothing new for {_duration(quiet)}, but its process is there: {waits}, or is stalled."
        )
    ended = _ended(folder)
    if ended is not None:
        return Liveness("over", f"Over: {ended}.")
    if folder.stop_requested:
        return Liveness(
            "over", f"Stopped by a file STOP in its folder. --resume --out {folder.path} goes on with it."
        )
    return Liveness(
        "dead",
        f"Not running, and not at its end; it wrote last {_duration(quiet)} ago. --resume --out {folder.path} goes "
        "on with it.",
    )


def _ended(folder: RunFolder) -> str | None:
    if folder.ending.is_file():
        rows = read_json_lines(folder.ending)
        return str(rows[0].get("ended")) if rows else None
    trained = (folder.path / "policy" / "policy.json").is_file() and folder.report.is_file()
    return "its policy is in policy/" if trained else None


def _last_written_s(path: Path) -> float:
    """When something of a run was written last, as seconds since the epoch."""
    places = [path / name for name in _WRITTEN]
    places += list((path / "tensorboard").glob("*"))[:100]
    places += [event for stage in places[len(_WRITTEN) :] for event in list(stage.glob("events.*"))[:100]]
    return max((place.stat().st_mtime for place in places if place.exists()), default=0.0)


def _duration(seconds: float) -> str:
    """In the unit that fits.

    >>> _duration(75), _duration(7200), _duration(300_000)
    ('75 s', '120 min', '3 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
