"""A search as an engine is given it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from olrl.control.decision import Base

from ..evaluation.jobs import Job, task_of
from ..rivals.constants import places_of_base
from ..rivals.space import Space
from .config import SearchConfig
from .study import catch_up
from .trial import Trial, TrialLog, play_trial

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is searched (`space`, around `base`, on the stream of `job`), and who hears of it.

    Each trial is in `log` as soon as it is over, and then `told`. `folder` takes what an engine wants to keep.
    """

    config: SearchConfig
    job: Job
    space: Space
    base: Base
    folder: Path
    log: TrialLog
    told: Callable[[Trial], None]

    def over(self, trial: Trial) -> None:
        """Log a trial and tell of it."""
        self.log.add(trial)
        self.told(trial)

    def begin(self, study: "optuna.Study", *, axis: Callable[[str], str] = str) -> None:
        """Make the first trial, the base, unless it was made before; then `study` has heard of all there are."""
        if not self.log.trials:
            places = places_of_base(self.space, self.base)
            self.over(play_trial(task_of(self.job, judged=False), self.base, number=0, places=places))
        catch_up(study, self.log.trials, axis=axis)
