"""What a search found, what it cost, and what the stream would have been with it."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from olrl.control.decision import Base

from ..evaluation.jobs import Job, task_of
from ..evaluation.play import Trace
from ..fingerprint import PACKAGES
from ..rivals.held import Held
from .config import SearchConfig
from .trial import Trial, best_trial

_PACKAGES = (*PACKAGES, "optuna")


@dataclass(frozen=True, kw_only=True)
class Played:
    """A run in figures; loss and metric are those of the `rounds` which the search was for."""

    loss_bpb: float
    rounds: int
    spent: float
    signal_examples: int
    updates: int
    seconds: float
    diverged: bool
    metric: float | None
    macro_f1: float | None

    @classmethod
    def of_trial(cls, trial: Trial) -> "Played":
        """A trial that went to the end is the run itself."""
        figures = {name: getattr(trial, name) for name in cls.__dataclass_fields__ if name != "diverged"}
        return cls(**figures, diverged=trial.state == "diverged")

    @classmethod
    def after(cls, prefix: int, trace: Trace) -> "Played":
        """The rounds of a run after its prefix; what it spent is that of all."""
        losses, weights = trace.loss_bpb[prefix:], trace.n_bytes[prefix:]
        hits = [share for share in trace.metric[prefix:] if share is not None]
        return cls(
            loss_bpb=sum(loss * n for loss, n in zip(losses, weights, strict=True)) / sum(weights),
            rounds=len(losses),
            spent=trace.total_spent,
            signal_examples=trace.signal_examples,
            updates=sum(trace.updates),
            seconds=trace.seconds,
            diverged=trace.diverged,
            metric=sum(hits) / len(hits) if hits else None,
            macro_f1=None,  # predictions are counted over the whole run only
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished search: its trials, and the stream played with the base and with what was found."""

    config: SearchConfig
    base: Base
    trials: tuple[Trial, ...]
    with_base: Played
    with_found: Played
    corpus_sha256: str | None

    @property
    def best(self) -> Trial:
        """The trial of least loss."""
        return best_trial(self.trials)

    @property
    def times_a_run(self) -> float:
        """What the trials cost, in runs of the same rounds with the base; passes for signals counted in both."""
        first = self.trials[0]
        return sum(trial.cost for trial in self.trials) / first.cost

    def to_dict(self) -> dict[str, Any]:
        """results.json: `runs` as a comparison has them, of the base and of what was found, and all trials."""
        tuning = sum(trial.examples for trial in self.trials)
        return {
            "runs": [
                self._row("base", self.with_base, tuning_examples=0),
                self._row("search", self.with_found, tuning_examples=tuning),
            ],
            "best": {"trial": self.best.number, "base": asdict(self.best.base)},
            "summary": {
                "trials": len(self.trials),
                "pruned": sum(trial.state == "pruned" for trial in self.trials),
                "diverged": sum(trial.state == "diverged" for trial in self.trials),
                "spent": sum(trial.spent for trial in self.trials),
                "signal_examples": sum(trial.signal_examples for trial in self.trials),
                "seconds": round(sum(trial.seconds for trial in self.trials), 1),
            },
            "trials": [trial.to_dict() for trial in self.trials],
            "versions": {name: version(name) for name in _PACKAGES},
            "corpus_sha256": self.corpus_sha256,
        }

    def _row(self, controller: str, played: Played, *, tuning_examples: int) -> dict[str, Any]:
        figures = asdict(played)
        macro_f1 = figures.pop("macro_f1")
        unit = self.config.loss_unit
        return {
            "suite": None,
            "stream": self.config.stream,
            "drift_kind": "given",
            "model": self.config.model,
            "controller": controller,
            "policy_seed": None,
            "seed": self.config.seed,
            "base_lr_mult": 1.0,
            "price": 0.0,
            "tuning_examples": tuning_examples,
            **figures,
            **({"loss_unit": unit, "macro_f1": macro_f1} if unit != "byte" else {}),
        }


def play_after_prefix(job: Job, *, base: Base, found: Base, prefix: int) -> Trace:
    """A run with the base until a round, and from then on with what a search has found by then."""
    task = task_of(job, judged=False)
    held = Held(base=base)
    rollout = task.rollout(base=base)
    while rollout.round(held):
        if rollout.rounds == prefix:
            held.decision = found.decision()
    return rollout.trace()
