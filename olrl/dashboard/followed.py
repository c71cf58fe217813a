"""Runs and trainings that are being looked at, kept between two looks and shared by all who look."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from olrl.analysis.following import RunFollower
from olrl.analysis.liveness import kind_of
from olrl.analysis.page import Page
from olrl.analysis.policy_figure import policy_picture
from olrl.analysis.run_page import run_page
from olrl.analysis.training import TrainingFollower, best_policy_folder
from olrl.analysis.training_page import training_page
from olrl.control.policy import load_policy
from olrl.run_folder import RunFolder

KEPT = 8  # runs looked at last; each holds a few MB
_runs: "OrderedDict[tuple[Path, Path | None], Followed]" = OrderedDict()
_lock = threading.Lock()


class Followed(Protocol):
    """What is looked at again and again."""

    def look(self) -> Page | None:
        """Read what is new, and give the page; None where there is nothing to show yet."""

    @property
    def progress(self) -> float:
        """The share of its files that was read; 1 where all was that there was at the last look."""

    @property
    def told(self) -> str:
        """How much was read."""


class FollowedRun:
    """A run that is looked at again and again: its page, made anew only where something is new."""

    def __init__(self, folder: RunFolder, against: RunFolder | None) -> None:
        self._follower = RunFollower(folder, against=against)
        self._lock = threading.Lock()
        self._page: Page | None = None
        self._made_of: tuple[int, bool] | None = None

    def look(self) -> Page | None:
        """Read what is new, for about a second at most, and give the page; None before the first round."""
        with self._lock:
            self._follower.read()
            now = self._follower.rounds, self._follower.folder.ending.is_file()
            if now != self._made_of:
                overview = self._follower.overview()
                self._page = None if overview is None else run_page(self._follower.folder, overview)
                self._made_of = now
            return self._page

    @property
    def progress(self) -> float:
        """The share of the run's files that was read; 1 where all was that there was at the last look."""
        return 1.0 if self._follower.caught_up else self._follower.progress

    @property
    def told(self) -> str:
        """How much was read."""
        return f"{self._follower.rounds:,} rounds"


class FollowedTraining:
    """A training that is looked at again and again; its policy's map is drawn anew where it has a new policy."""

    progress = 1.0  # its curves are short
    told = ""

    def __init__(self, folder: RunFolder) -> None:
        self._follower = TrainingFollower(folder)
        self._lock = threading.Lock()
        self._drawn: tuple[tuple[Path, float], bytes] | None = None

    def look(self) -> Page | None:
        """Read what is new, and give the page; None before the first curve."""
        with self._lock:
            return training_page(self._follower, picture=self._picture())

    def _picture(self) -> bytes | None:
        found = best_policy_folder(self._follower.folder)
        if found is None:
            return None
        version = found, (found / "policy.json").stat().st_mtime
        if self._drawn is None or self._drawn[0] != version:
            self._drawn = version, policy_picture(load_policy(found))
        return self._drawn[1]


def followed(folder: Path, against: Path | None) -> Followed:
    """A run or a training by its folder, as it was looked at before; ValueError where the folder holds neither."""
    key = folder, against
    with _lock:
        if key not in _runs:
            _runs[key] = _open(RunFolder.open(folder), against)
        _runs.move_to_end(key)
        while len(_runs) > KEPT:
            _runs.popitem(last=False)
        return _runs[key]


def _open(folder: RunFolder, against: Path | None) -> Followed:
    kind = kind_of(folder)
    if kind == "run":
        return FollowedRun(folder, None if against is None else RunFolder.open(against))
    if kind == "train":
        return FollowedTraining(folder)
    what = "a comparison: olrl report shows it" if kind == "compare" else "neither a run nor a training"
    raise ValueError(f"{folder.path} is the folder of {what}")
