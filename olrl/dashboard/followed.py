"""Runs that are being looked at, kept between two looks and shared by all who look."""

import threading
from collections import OrderedDict
from pathlib import Path

from olrl.analysis.following import RunFollower
from olrl.analysis.liveness import kind_of
from olrl.analysis.page import Page
from olrl.analysis.run_page import run_page
from olrl.run_folder import RunFolder

KEPT = 8  # runs looked at last; each holds a few MB
_runs: "OrderedDict[tuple[Path, Path | None], Followed]" = OrderedDict()
_lock = threading.Lock()


class Followed:
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


def followed(folder: Path, against: Path | None) -> Followed:
    """A run by its folder, as it was looked at before; ValueError where the folder holds none."""
    key = folder, against
    with _lock:
        if key not in _runs:
            opened = RunFolder.open(folder)
            if kind_of(opened) != "run":
                raise ValueError(f"{folder} is not the folder of an olrl run")
            _runs[key] = Followed(opened, None if against is None else RunFolder.open(against))
        _runs.move_to_end(key)
        while len(_runs) > KEPT:
            _runs.popitem(last=False)
        return _runs[key]
