"""Where a policy was trained, by the kind of task it was trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olrl.control.training_region import LEVELS, WATCHED, TrainingRegion

RANGE_VERSION = 2
MOST_TASKS = 16
_EVERY = "any"  # the region of a file of version 1, which told no tasks apart

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRange:
    """A region for each task of training. Inside is what lies inside of one of them.

    Tasks are kept apart since they differ by what is usual: a head that begins at zero moves by a hundred times
    more of itself than a language model does, and one region over both would let a language model do so too.
    Where it is known which task is at hand, `of_task` leaves its region alone.

    >>> from olrl.monitor.feature_spec import FEATURE_NAMES
    >>> rng = np.random.default_rng(0)
    >>> drawn = rng.normal(size=(2000, len(FEATURE_NAMES)))
    >>> seen = TrainingRange.of({"lm": drawn, "classify": drawn + 100.0})
    >>> seen.trouble(drawn[0] + 100.0) is None, seen.of_task("lm").trouble(drawn[0] + 100.0) is None
    (True, False)
    """

    regions: Mapping[str, TrainingRegion]

    def __post_init__(self) -> None:
        _check_names(self.regions)

    @classmethod
    def of(cls, observations: Mapping[str, Array]) -> TrainingRange:
        """The range of observations before clipping by task, each of shape (n, features)."""
        return cls(regions={task: TrainingRegion.of(seen) for task, seen in observations.items()})

    @property
    def tasks(self) -> list[str]:
        """The tasks of training, by name; none where a file of version 1 did not tell."""
        return [task for task in self.regions if task != _EVERY]

    def covers(self, task: str | None) -> bool:
        """Whether training had this task, as far as is known."""
        return task in self.regions or _EVERY in self.regions

    def of_task(self, task: str | None) -> TrainingRange:
        """That of one task alone; all of it where the task is not known, or was no part of training."""
        if task is None or task not in self.regions:
            return self
        return TrainingRange(regions={task: self.regions[task]})

    def trouble(self, observation: Array, *, missing: Collection[str] = ()) -> str | None:
        """What is outside of the range in an observation of shape (features,); `None` where nothing is.

        Features of the groups `missing` may be 0: their signal was not measured. Takes about 12 µs a region. What
        is told is what is outside of the nearest.
        """
        told: dict[str, str] = {}
        for task, region in self.regions.items():
            trouble = region.trouble(observation, missing=missing)
            if trouble is None:
                return None
            told[task] = trouble
        return told[min(told, key=lambda task: self.regions[task].remoteness(observation))]

    def description(self) -> dict[str, Any]:
        """As it stands in a policy file, JSON-able; six significant digits. Of version 1 where it came from one."""
        told = {task: region.description() for task, region in self.regions.items()}
        whole = {"features": list(WATCHED), "levels": list(LEVELS)}
        if set(told) == {_EVERY}:  # a policy's sha256 is of what it says, and it is the policy that it was
            return {"version": 1, **whole, **told[_EVERY]}
        return {"version": RANGE_VERSION, **whole, "regions": told}

    @classmethod
    def from_description(cls, given: Any) -> TrainingRange:
        """From a policy file, also of version 1; ValueError for whatever was not written by `description`."""
        if not isinstance(given, Mapping) or not {"version", "features", "levels"} <= set(given):
            raise ValueError("a training range must be an object with version, features, levels and regions")
        rest = {name: given[name] for name in given if name not in ("version", "features", "levels")}
        if given["version"] == 1 and type(given["version"]) is int:
            rest = {"regions": {_EVERY: rest}}
        elif given["version"] != RANGE_VERSION or type(given["version"]) is not int:
            raise ValueError(
                f"a training range of version {given['version']!r} is not known: "
                f"this is {RANGE_VERSION}, and reads 1"
            )
        if given["features"] != list(WATCHED) or given["levels"] != list(LEVELS):
            raise ValueError("a training range must be of the features and levels of its version")
        if set(rest) != {"regions"} or not isinstance(rest["regions"], Mapping):
            raise ValueError("a training range must have regions, by task")
        _check_names(rest["regions"])
        return cls(regions={task: _region(task, told) for task, told in rest["regions"].items()})


def _check_names(regions: Mapping[str, Any]) -> None:
    if not 1 <= len(regions) <= MOST_TASKS or not all(_is_name(task) for task in regions):
        raise ValueError(f"a training range must have 1 to {MOST_TASKS} regions, by the names of their tasks")


def _region(task: str, told: Any) -> TrainingRegion:
    try:
        return TrainingRegion.from_description(told)
    except ValueError as error:
        raise ValueError(f"{error} (task {task!r})") from error


def _is_name(task: Any) -> bool:
    return isinstance(task, str) and 0 < len(task) <= 40 and task.isprintable()
