"""A training run's curves, read from its TensorBoard events; again and again while it goes on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from olrl.run_folder import RunFolder

CURVES = "tensorboard"
MAX_STAGES = 20
POINTS = 1000  # of a curve, that are kept: of more, a sample
SCORE = "validation/score"

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage's curves by their tags (docs/metrics.md): environment steps, counted over all stages, and values.

    `begin` and `end` are its steps.
    """

    name: str
    begin: float
    end: float
    curves: dict[str, Curve]

    def curve(self, tag: str) -> Curve:
        """A curve, of no points where there is none."""
        return self.curves.get(tag, (np.empty(0), np.empty(0)))


class TrainingFollower:
    """The stages of a training run; each look reads only the events written since.

    ValueError, in one sentence, for a folder that is not that of a training.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config = folder.read_config()
        if self.config.get("command") != "train":
            raise ValueError(f"{folder.path} is not the folder of an olrl train run")
        self._readers: dict[Path, EventAccumulator] = {}
        self._sizes: dict[Path, dict[str, int]] = {}  # of each event file

    def stages(self) -> list[Stage]:
        """The stages that have begun, in their order."""
        begun = sorted((_first_event(path), path) for path in self._folders())
        stages: list[Stage] = []
        for _, path in begun:
            begin = stages[-1].end if stages else 0.0
            curves = {tag: (steps + begin, values) for tag, (steps, values) in self._curves(path).items()}
            last = max((steps[-1] for steps, _ in curves.values() if len(steps)), default=begin)
            stages.append(Stage(name=path.name, begin=begin, end=float(last), curves=curves))
        return stages

    def _folders(self) -> list[Path]:
        found = sorted(path for path in (self.folder.path / CURVES).glob("*") if list(path.glob("events.*")))
        return found[:MAX_STAGES]

    def _curves(self, path: Path) -> dict[str, Curve]:
        sizes = {events.name: events.stat().st_size for events in path.glob("events.*")}
        if any(sizes.get(name, 0) < size for name, size in self._sizes.get(path, {}).items()):
            self._readers.pop(path, None)  # cut back or begun anew: the training was gone on with
        self._sizes[path] = sizes
        reader = self._readers.setdefault(path, EventAccumulator(str(path), size_guidance={SCALARS: POINTS}))
        reader.Reload()
        found: dict[str, Curve] = {}
        for tag in reader.Tags()["scalars"]:
            points = np.array([(p.step, p.value) for p in reader.Scalars(tag)], dtype=np.float64)
            points = points[np.isfinite(points).all(axis=1)]
            found[str(tag)] = points[:, 0], points[:, 1]
        return found


def _first_event(path: Path) -> float:
    """When a stage began: event files carry it in their names."""
    times = [name.split(".")[3] for name in sorted(events.name for events in path.glob("events.*"))]
    return float(times[0]) if times and times[0].isdigit() else 0.0


def best_policy_folder(folder: RunFolder) -> Path | None:
    """The policy of a training: the one that it kept, else the newest that was the best so far."""
    kept = folder.path / "policy"
    best = sorted((folder.path / "best").glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path for path in (kept, *best) if (path / "policy.json").is_file()), None)
