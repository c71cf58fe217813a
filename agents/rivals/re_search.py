"""A search before the run is wrong from the first drift on: so it is made again, every so many rounds."""

from dataclasses import dataclass, replace

from ..evaluation.play import Rollout, Trace
from .constants import constants_around
from .entrant import Conditions, Entrant, Task
from .groups import mean_loss, play_rounds
from .held import Held
from .samplers import SAMPLERS, seed_of
from .search import OptunaSearch
from .space import Choice

_STARTUP = 4  # proposals at random in each search, which has only a few


@dataclass(frozen=True, kw_only=True)
class ReSearchSettings:
    """How often is searched, on what, and how much.

    every: rounds between two searches. past: the newest rounds that a trial plays again, 2 to `every`.
    trials: configurations tried in each search beside the one in force, at least 1.
    reach: factor that a rate lies off the base's at most, above 1. sampler: who proposes, one of `SAMPLERS`.
    """

    every: int = 32
    past: int = 16
    trials: int = 12
    reach: float = 64.0
    sampler: str = "gp"

    def __post_init__(self) -> None:
        if not 2 <= self.past <= self.every:
            raise ValueError(f"past must be from 2 to every ({self.every}) rounds, not {self.past!r}")
        if self.trials < 1 or not self.reach > 1:
            raise ValueError(
                f"trials must be at least 1 and reach above 1, not {self.trials!r} and {self.reach!r}"
            )
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {self.sampler!r}")


class ReSearch(Entrant):
    """Every K rounds, a Bayesian search on the recent past for the constant of the next K.

    From a copy of the learner of some rounds ago, trials play what came since again, each under another rate, batch
    size, window and weight decay; the one of least mean loss holds until the next search, or what was in force,
    where none was better. The learner itself goes on where it was. All that trials train and score is charged: no
    privilege but the extra learners, since a trial sees the past only.
    """

    def controller(self, given: Conditions) -> Held:
        """The base at first."""
        ReSearchSettings(**given.settings)
        return Held(base=given.base)

    def play(self, task: Task) -> Trace:
        """Rounds in groups of K, and a search after each."""
        settings = ReSearchSettings(**task.given.settings)
        held = self.controller(task.given)
        rollout = task.rollout(base=task.given.base)
        search = 0
        while play_rounds(rollout, held, settings.every - settings.past):
            start, first = rollout.snapshot(), rollout.rounds
            if not play_rounds(rollout, held, settings.past):
                break
            seed = seed_of(task.given.config.seed, search)
            self._search(rollout, held, settings, start=start, first=first, seed=seed)
            search += 1
        return rollout.trace()

    def _search(
        self,
        rollout: Rollout,
        held: Held,
        settings: ReSearchSettings,
        *,
        start: dict[str, object],
        first: int,
        seed: int,
    ) -> None:
        """Hold the best; the run is where it was, and what the trials took is charged."""
        now = rollout.snapshot()
        best, least = held.decision, mean_loss(rollout, first)
        space = constants_around(held.base, reach=settings.reach)
        search = OptunaSearch(space, seed=seed, sampler=settings.sampler, startup=_STARTUP)
        for _ in range(settings.trials):
            rollout.restore(start)
            held.decision = replace(held.base, **search.ask()).decision()
            play_rounds(rollout, held, settings.past)
            rollout.charge(first, trial=False)
            loss = mean_loss(rollout, first)
            search.tell(loss)
            if loss < least:
                best, least = held.decision, loss
        rollout.restore(now)
        held.decision = best


RE_SEARCH = ReSearch(
    name="re-search",
    description="a Bayesian search on the recent past, made again every few rounds",
    privileges=("extra learners",),
    space={
        "every": Choice(options=(16, 32, 64)),
        "past": Choice(options=(8, 16)),
        "trials": Choice(options=(6, 12, 24)),
    },
    requires=("optuna",),
)
