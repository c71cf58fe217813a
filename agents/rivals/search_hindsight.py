"""A Bayesian search for the best constant, on the very stream that it is judged on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from olrl.control.controller import Controller
from olrl.control.decision import BATCH_SIZES, WINDOWS, Base

from ..evaluation.play import Trace
from .entrant import Conditions, Entrant, Task
from .held import Held
from .search import OptunaSearch
from .space import Choice, LogUniform, Space


@dataclass(frozen=True, kw_only=True)
class SearchHindsightSettings:
    """`trials`: how many constants are tried, at least 1; `reach`: factor that a rate lies off at most, above 1;
    `sampler`: what proposes them (`samplers.py`).
    """

    trials: int = 32
    reach: float = 16.0
    sampler: str = "gp"

    def __post_init__(self) -> None:
        if self.trials < 1 or not self.reach > 1:
            raise ValueError(
                f"trials must be at least 1 and reach above 1, not {self.trials!r} and {self.reach!r}"
            )


class SearchHindsight(Entrant):
    """The best of n constants, found by Bayesian search over rate, batch size and window.

    A Gaussian process proposes: of the samplers it comes nearest to the best of a grid in few trials (docs/LOG.md,
    2026-11-27). The first trial is the tuned constant (the base, where none ships), so that it never does worse.
    What is reported is the best trial's run; all others are charged as trials.
    """

    def controller(self, given: Conditions) -> Controller:
        """The first trial's."""
        SearchHindsightSettings(**given.settings)
        return Held(base=given.origin)

    def play(self, task: Task) -> Trace:
        """All trials, and the trace of the best."""
        settings = SearchHindsightSettings(**task.given.settings)
        origin = task.given.origin
        space = _space(origin, settings)
        search = OptunaSearch(space, seed=task.given.config.seed, sampler=settings.sampler)
        traces = [task.play(Held(base=origin))]
        search.know({name: getattr(origin, name) for name in space}, traces[0].mean_loss_bpb)
        for _ in range(settings.trials - 1):
            traces.append(task.play(Held(base=replace(origin, **search.ask()))))
            search.tell(traces[-1].mean_loss_bpb)
        return charged(traces, scored=len(task.chunks) * task.given.config.chunk)


def _space(origin: Base, settings: SearchHindsightSettings) -> Space:
    return {
        "lr": LogUniform(low=origin.lr / settings.reach, high=origin.lr * settings.reach),
        "batch_size": Choice(options=BATCH_SIZES),
        "window": Choice(options=WINDOWS),
    }


def charged(traces: Sequence[Trace], *, scored: int) -> Trace:
    """The best of several runs, with what the others cost; each of them scored so many examples."""
    best = min(traces, key=lambda trace: trace.mean_loss_bpb)
    others = [trace for trace in traces if trace is not best]
    return replace(
        best,
        trial_examples=sum(trace.examples for trace in others),
        extra_spent=sum(trace.total_spent for trace in others),
        signal_examples=sum(trace.signal_examples for trace in traces) + scored * len(others),
        seconds=sum(trace.seconds for trace in traces),
    )


SEARCH_HINDSIGHT = SearchHindsight(
    name="search-hindsight",
    description="Bayesian search for the best constant on the test stream itself",
    uses_base=False,
    privileges=("tuning on the test stream",),
    requires=("optuna",),
)
